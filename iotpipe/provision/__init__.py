"""The engine: plan, apply and ledger for one fixed set of AWS resources. Knows no click, rich or YAML."""
