import subprocess
import sys

import pytest
from pydantic import TypeAdapter

from videoldm.core.config import from_yaml, to_yaml
from videoldm.core.errors import InputError
from videoldm.diffusion.config import (
    AlignYourSteps,
    Churn,
    Constant,
    Euler,
    EulerAncestral,
    Guidance,
    Interval,
    Karras,
    LinearOverFrames,
    Sampler,
    Schedule,
    Trapezoid,
)


@pytest.mark.parametrize(
    "spec",
    [
        Karras(),
        Karras(sigma_min=0.01, sigma_max=80.0, rho=5.0),
        AlignYourSteps(),
        Euler(churn=Churn(s_churn=40.0)),
        EulerAncestral(eta=0.5),
        Guidance(scale=LinearOverFrames(max_scale=2.5)),
        Guidance(scale=Constant(scale=12.0), interval=Interval(lo=0.2, hi=5.0)),
    ],
)
def test_a_spec_survives_yaml(spec):
    assert from_yaml(type(spec), to_yaml(spec)) == spec


def test_kind_tells_specs_apart():
    assert TypeAdapter(Schedule).validate_python({"kind": "ays"}) == AlignYourSteps()
    assert TypeAdapter(Sampler).validate_python({"kind": "euler_ancestral"}) == EulerAncestral()


@pytest.mark.parametrize(
    ("config_type", "text", "message"),
    [
        (Karras, "sigma_min: 3\nsigma_max: 2", "sigma_min 3.0 should be below sigma_max 2.0"),
        (Karras, "sigma_min: -1", "greater than 0"),
        (Karras, "sigma_max: .inf", "finite"),
        (Karras, "rho: 0", "greater than 0"),
        (Karras, "steps: 25", "steps"),
        (EulerAncestral, "eta: 1.5", "less than or equal to 1"),
        (Trapezoid, "max_scale: 2\nedge: 0.6", "less than or equal to 0.5"),
        (Interval, "lo: 2\nhi: 1", "lo 2.0 should be below hi 1.0"),
        (Guidance, "scale: {kind: cosine, max_scale: 2}", "cosine"),
    ],
)
def test_a_wrong_value_is_named(config_type, text, message):
    with pytest.raises(InputError, match=message):
        from_yaml(config_type, text)


def test_specs_need_no_torch():
    code = "import sys, videoldm.diffusion.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
