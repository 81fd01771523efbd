"""Attributes come back with their types; files hold text and numbers."""

import numpy as np

from neurocodec.storage.attributes import dumps, from_native, is_utf8, loads, to_native

ATTRIBUTES = {"units": "s", "window": (1, 2)}


def test_what_a_file_has_no_type_for_is_one_attribute():
    assert to_native(ATTRIBUTES, "time") == {
        "units": "s",
        "neurocodec_attributes": '{"window": {"!": "tuple", "value": [1, 2]}}',
    }


def test_attributes_come_back():
    assert from_native(to_native(ATTRIBUTES, "time")) == ATTRIBUTES


def test_types_of_values_come_back():
    found = loads(dumps({"threshold": np.float32(0.9), "layers": ("a",)}, "modes"))
    assert found == {"threshold": np.float32(0.9), "layers": ("a",)}
    assert type(found["threshold"]) is np.float32
    assert type(found["layers"]) is tuple


def test_tagged_text_is_a_tuple():
    assert loads('{"!": "tuple", "value": [1, 2]}') == (1, 2)


def test_half_a_surrogate_pair_is_no_utf8():
    assert is_utf8("é")
    assert not is_utf8(chr(0xD800))


def test_a_name_that_is_too_long_for_netcdf_is_kept_beside():
    assert set(to_native({"a" * 300: 1, "b": 2}, "x")) == {"b", "neurocodec_attributes"}
    assert from_native(to_native({"a" * 300: 1}, "x")) == {"a" * 300: 1}
