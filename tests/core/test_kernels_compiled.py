"""Triton kernels compile for accelerators without one: what the interpreter lets pass, a compiler may not."""

import importlib

import pytest
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile

X, FULL, WHOLE = "*bf16", "*fp32", "i32"
KERNELS = {
    "norm._forward": (
        {"x": X, "residual": X, "weight": FULL, "out": FULL, "total": X, "scale": FULL, "width": WHOLE, "eps": "fp32"},
        {"ADDS": True, "BLOCK": 512},
    ),
    "norm._backward": (
        {
            **dict.fromkeys(("grad", "to_total", "total", "to_x"), X),
            **dict.fromkeys(("scale", "weight", "to_weight"), FULL),
            "rows": WHOLE,
            "width": WHOLE,
        },
        {"each": 4, "ADDS": True, "BLOCK": 512},
    ),
    "gated._forward": ({"gate": X, "up": X, "out": X, "count": WHOLE}, {"BLOCK": 512}),
    "gated._backward": (
        {**dict.fromkeys(("grad", "gate", "up", "to_gate", "to_up"), X), "count": WHOLE},
        {"BLOCK": 512},
    ),
    "turning._turn": (
        {"x": X, "cos": FULL, "sin": FULL, "out": X, "heads": WHOLE, "half": WHOLE},
        {"sign": -1, "HEADS": 4, "HALF": 64},
    ),
    "chunk_loss._chunk": (
        {
            "logits": X,
            "bias": FULL,
            "labels": "*i64",
            "losses": FULL,
            **dict.fromkeys(("deepest", "label_share", "other_share"), "fp32"),
        },
        {"words": 151_936, "BIASED": True, "SLOPES": True, "BLOCK": 1024},
    ),
}


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_compiles(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    module, function = name.split(".")
    kernel = getattr(importlib.import_module(f"omniline.core.kernels.{module}"), function)
    types, constants = KERNELS[name]
    assert {*types, *constants} == set(kernel.arg_names)
    signature = {arg: types.get(arg, "constexpr") for arg in kernel.arg_names}
    places = {(kernel.arg_names.index(arg),): value for arg, value in constants.items()}
    made = compile(ASTSource(fn=kernel, signature=signature, constexprs=places), target=GPUTarget("cuda", 80, 32))
    assert f".entry {function}" in made.asm["ptx"] and made.asm["cubin"]
