"""Test readings: generate or replay them, send them with signed requests, and verify that each is stored."""
