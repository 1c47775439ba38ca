"""Compile sources to bytecode. Runs as a script in an interpreter of the layer's Python, not in iotpipe's.

stdin is a JSON object, path on Lambda → base64 of the source; stdout one, path → base64 of the .pyc.
"""

import base64
import json
import marshal
import sys
from importlib.util import MAGIC_NUMBER, source_hash

# Hash-based and unchecked (PEP 552). Python's default, a .pyc with the time of its source, becomes stale
# when Lambda unzips the layer.
UNCHECKED_HASH = (0b01).to_bytes(4, "little")


def compiled(path: str, source: bytes) -> bytes:
    """The .pyc of a source at `path`, independent of what was compiled before.

    Python shares a set of constants between functions only if the names in it were not interned yet, by this
    source or another, and a .pyc shows what is shared. So the first of two compilations, which stays alive,
    interns them all, and the second always finds them. https://github.com/python/cpython/issues/129724
    """
    interning, code = (compile(source, path, "exec", dont_inherit=True, optimize=0) for _ in range(2))
    body = marshal.dumps(code)
    del interning
    return MAGIC_NUMBER + UNCHECKED_HASH + source_hash(source) + body


def main() -> None:
    """Answer the request on stdin."""
    answer = {}
    for path, text in sorted(json.load(sys.stdin).items()):
        try:
            answer[path] = base64.b64encode(compiled(path, base64.b64decode(text))).decode()
        except SyntaxError:
            continue  # written for another Python: importing it would fail with or without bytecode
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
