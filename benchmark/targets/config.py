"""Reading the JSON files of a network's folder, which may come from anyone: bounded, and nothing in them acts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from benchmark.errors import SpecError
from benchmark.files.pointers import refuse_pointer

__all__ = ["CONFIG", "read_json_object", "read_network_config"]

CONFIG = "config.json"
MAX_BYTES = 16 * 2**20
MAX_NUMBER = 2**20  # far above every honest size or label
MAX_DEPTH = 2**10  # of layers: some networks make a list as long as all their layers before they make a layer
DEPTH = re.compile("depth|layers")
# What would run code, fetch files or read weights from elsewhere.
REFUSED = {
    "auto_map", "checkpoint_path", "distributed_config", "fusion_config", "model_args", "per_layer_config",
    "pretrained_cfg_overlay", "quantization_config", "transformers_weights",
}  # fmt: skip
# How a network runs is not for its files to say: always float32, its own attention, plain outputs. Nor is where timm
# found its weights: of `pretrained_cfg` only mean and std are read, see load_normalization.
IGNORED = {
    "attn_implementation", "dtype", "experts_implementation", "name_or_path", "output_attentions",
    "output_hidden_states", "pretrained_cfg", "return_dict", "torch_dtype", "use_return_dict",
}  # fmt: skip
PLAIN_NAME = re.compile(r"[\w.]+", re.ASCII)  # timm fetches what is named 'hf-hub:owner/name'


def _not_a_number(text: str) -> None:
    raise ValueError(f"{text} is not a number")


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        SpecError: absent, above 16 MiB, or no JSON object.
    """
    try:
        if not path.is_file():
            raise SpecError("absent", where=str(path))
        if path.stat().st_size > MAX_BYTES:
            raise SpecError("larger than 16 MiB", where=str(path))
        refuse_pointer(path)
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_not_a_number)
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except (ValueError, RecursionError) as error:
        raise SpecError(f"not valid JSON: {error}", where=str(path)) from None
    if not isinstance(value, dict):
        raise SpecError("not a JSON object", where=str(path))
    return value


def _clean(value: Any, where: str, key: str = "") -> Any:
    deep = DEPTH.search(key)
    numbers = [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, int)]
    if any(abs(number) > MAX_NUMBER for number in numbers) or (deep and sum(map(abs, numbers)) > MAX_DEPTH):
        raise SpecError(f"'{key}' is absurdly large", where=where)
    if isinstance(value, list):
        return [_clean(item, where, key) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, item in value.items():
        if key in REFUSED and item is not None:
            raise SpecError(f"'{key}' is not supported", where=where)
        if key in REFUSED or key in IGNORED or key.startswith("_"):
            continue
        if key in ("backbone", "architecture") and isinstance(item, str) and not PLAIN_NAME.fullmatch(item):
            raise SpecError(f"'{key}' is not the plain name of an architecture: '{item}'", where=where)
        # The weights come from the checkpoint, never from where a backbone was once taken.
        kept[key] = False if key == "use_pretrained_backbone" else _clean(item, where, key)
    return kept


def read_network_config(folder: Path) -> dict[str, Any]:
    """The architecture as `config.json` states it, without entries at any depth that would act.

    Left out is how to run the network (number type, attention, outputs).

    Raises:
        SpecError: absent, malformed, or it asks for code, files, quantization or absurd numbers.
    """
    return _clean(read_json_object(folder / CONFIG), str(folder / CONFIG))
