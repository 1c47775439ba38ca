"""Which route of a function answers, and that every declared route has a handler."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from iotpipe.handlers import routes, web
from iotpipe.provision.resources.permission import Permission
from iotpipe.provision.resources.route import Route
from tests.support.engine_world import declared
from tests.support.handlers_world import World, answered, proxy_event


def telling(name: str) -> routes.Work:
    return lambda call: web.answer(call.request, 200, json.dumps({"route": name}))


SERVED: routes.Routes = {name: telling(name) for name in ("GET /devices", "GET /devices/{id}", "POST /devices")}


@pytest.mark.parametrize("name", SERVED)
def test_each_route_of_a_function_has_its_own_answer(world: World, capsys: Any, name: str) -> None:
    method, path = name.split()
    answer = routes.serve("query", SERVED, proxy_event(method, path), world.context())
    assert answered(answer) == {"route": name}
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["route"] == path


@pytest.mark.parametrize("resource", [None, 5, "/elsewhere"])
def test_an_event_that_names_no_route_gets_the_first_one_s_answer(world: World, resource: Any) -> None:
    answer = routes.serve("query", SERVED, proxy_event("GET", "/", resource=resource), world.context())
    assert answered(answer) == {"route": "GET /devices"}


def test_every_declared_route_is_served_by_its_function_and_no_other(config_dir: Path) -> None:
    resources, _ = declared(config_dir)
    functions = {each.function for each in resources if isinstance(each, Route)}
    for function in functions:
        named = {
            f"{each.method} {each.path}" for each in resources if isinstance(each, Route) and each.function is function
        }
        assert named == set(import_module(function.handler.rpartition(".")[0]).ROUTES)


def test_every_declared_route_may_call_its_function_by_a_statement_of_its_own(config_dir: Path) -> None:
    resources, _ = declared(config_dir)
    declared_routes = [(each.method, each.path) for each in resources if isinstance(each, Route)]
    permissions = [each for each in resources if isinstance(each, Permission)]
    assert sorted((each.method, each.path) for each in permissions) == sorted(declared_routes)
    assert len({each.address for each in permissions}) == len(permissions)
