"""Says what adapter.py lacks of the roles that adapter.toml promises. It reads the source and runs nothing of it:

    python3 -I -c … '{"entry": "/p/adapter.py", "wanted": {"Poller": ["poll"]}}'

writes {"missing": [{"export": "Poller"}, {"export": "Writer", "function": "write"}]}, or {"unreadable": "…"} where the source
cannot be read; componentize-py then says why, in its own words. What cannot be known from the source alone, such as the methods
of a class that is imported, is taken to be there."""

import ast
import json
import sys

# Decorators that leave a class its methods, and no more.
KNOWN_DECORATORS = {"guarded"}
DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# Functions that can bind names at the top of a module or class.
BINDING_FUNCTIONS = {"exec", "globals", "locals", "setattr", "vars"}


def bound(body):
    """The names that statements bind at the top of a module or class, each with its class where it is one; and whether
    there are more than can be known."""
    names, more = {}, False
    for statement in body:
        if isinstance(statement, DEFINITIONS):
            names[statement.name] = statement
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            names.update(imported([statement]))
        elif isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            names.update(dict.fromkeys(stored(statement)))
        elif isinstance(statement, ast.Expr):
            used = {one.id for one in ast.walk(statement) if isinstance(one, ast.Name)}
            more = more or not used.isdisjoint(BINDING_FUNCTIONS)
        elif not isinstance(statement, ast.Pass):
            # Whatever is bound in a branch or a loop.
            names.update(dict.fromkeys(stored(statement)))
            parts = list(ast.walk(statement))
            names.update({one.name: None for one in parts if isinstance(one, DEFINITIONS)})
            names.update(imported(parts))
    return names, more or "*" in names


def imported(parts):
    aliases = (alias for one in parts if isinstance(one, (ast.Import, ast.ImportFrom)) for alias in one.names)
    return {alias.asname or alias.name.split(".")[0]: None for alias in aliases}


def stored(statement):
    """The names that are assigned to, and those of which an attribute is: of that class less is known then."""
    targets = [one for one in ast.walk(statement) if isinstance(getattr(one, "ctx", None), ast.Store)]
    names = (one.value if isinstance(one, ast.Attribute) else one for one in targets)
    return [one.id for one in names if isinstance(one, ast.Name)]


def methods(role, names, seen=()):
    """The names of a class and of its bases in this source; none where they cannot be known."""
    if not isinstance(role, ast.ClassDef) or role.name in seen or role.keywords:
        return None
    if any(not isinstance(one, ast.Name) or one.id not in KNOWN_DECORATORS for one in role.decorator_list):
        return None
    own, more = bound(role.body)
    if more:
        return None
    found = set(own)
    for base in role.bases:
        if not isinstance(base, ast.Name):
            return None
        if base.id == "object":
            continue
        inherited = methods(names.get(base.id), names, (*seen, role.name))
        if inherited is None:
            return None
        found |= inherited
    return found


def missing(source, wanted):
    names, more = bound(ast.parse(source).body)
    for name, functions in wanted.items():
        if name not in names:
            if not more:
                yield {"export": name}
            continue
        there = None if more else methods(names[name], names)
        if there is not None:
            yield from ({"export": name, "function": one} for one in functions if one not in there)


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    try:
        with open(asked["entry"], encoding="utf-8") as file:
            found = {"missing": list(missing(file.read(), asked["wanted"]))}
    except (OSError, SyntaxError, ValueError) as error:
        found = {"unreadable": str(error)}
    print(json.dumps(found))
