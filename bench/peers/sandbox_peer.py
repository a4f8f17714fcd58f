"""WebAssembly engines beside us, one thread. See protocol.py.

load     module: file of a wasm module without imports
run      function, arguments: integers, times: calls of an exported function
answers  function, arguments, times: {"result": of the last call}
"""
import sys
from importlib.metadata import version

import protocol
import wasmtime

# `wasmtime-fuel` counts instructions as a metered sandbox does.
ENGINES = {"wasmtime": False, "wasmtime-fuel": True}


def main(name):
    metered, state = ENGINES[name], {}

    def load(module):
        config = wasmtime.Config()
        config.consume_fuel = metered
        engine = wasmtime.Engine(config)
        state["store"] = wasmtime.Store(engine)
        state["exports"] = wasmtime.Instance(
            state["store"], wasmtime.Module.from_file(engine, module), []).exports(state["store"])
        setting = "fuel metered" if metered else "not metered"
        return dict(version=f"wasmtime {version('wasmtime')}", setting=setting)

    def call(function, arguments, times):
        for _ in range(times):
            if metered:
                state["store"].set_fuel(2**63)
            state["result"] = state["exports"][function](state["store"], *arguments)

    def answers(**case):
        call(**case)
        return dict(result=state["result"])

    protocol.serve(dict(load=load, run=lambda **case: protocol.timed(lambda: call(**case)), answers=answers))


if __name__ == "__main__":
    main(sys.argv[1])
