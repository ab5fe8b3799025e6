import dataclasses
import json
import os
from pathlib import Path

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soarm.errors import BundleError
from soarm.runtime.bundle import BASE, RESIDUAL, Bundle
from soarm.spec import ACTION, STATE, Feature

FILES = ["act.onnx", "residual.onnx", "spec.json", "parity.json", "checksums.json"]


def test_a_whole_bundle_opens_with_its_specification(bundle_folder, spec):
    bundle = Bundle.open(bundle_folder)

    assert bundle.spec == spec
    assert set(bundle.sessions) == {BASE, RESIDUAL}
    assert sorted([*bundle.checksums, "checksums.json"]) == sorted(FILES)


def test_a_bundle_may_have_no_residual(tmp_path, bundle_files, write_bundle, networks, spec):
    alone = dataclasses.replace(spec, residual_scale=None)
    files = {"act.onnx": networks["act"](alone).SerializeToString(), "spec.json": json.dumps(alone.to_dict()).encode()}

    bundle = Bundle.open(write_bundle(tmp_path / "alone", files))

    assert set(bundle.sessions) == {BASE}


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_byte_in_any_file_is_found_and_named(bundle_folder, name, data):
    path = bundle_folder / name
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[at]))
    path.write_bytes(whole[:at] + bytes([changed]) + whole[at + 1 :])

    try:
        with pytest.raises(BundleError, match=rf"{name}[\s\S]*export again \(`dvc repro export`\)"):
            Bundle.open(bundle_folder)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(bundle_folder, name):
    (bundle_folder / name).unlink()

    with pytest.raises(BundleError, match=rf"{name} cannot be read: No such file|{name} cannot be read \(No such file"):
        Bundle.open(bundle_folder)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_named(bundle_folder, name):
    path = bundle_folder / name
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(BundleError, match=rf"{name} (was changed|is not JSON)"):
        Bundle.open(bundle_folder)


def test_all_faults_are_reported_at_once_with_both_checksums(bundle_folder):
    (bundle_folder / "act.onnx").write_bytes(b"another network")
    (bundle_folder / "parity.json").unlink()

    both = r"act.onnx was changed: its SHA-256 is [0-9a-f]{64}, checksums.json says [0-9a-f]{64}\n.*parity.json cannot be read"
    with pytest.raises(BundleError, match=both):
        Bundle.open(bundle_folder)


def test_a_folder_that_is_no_bundle_says_so(tmp_path):
    with pytest.raises(BundleError, match=r"checksums.json cannot be read .*is not a whole bundle"):
        Bundle.open(tmp_path)


@pytest.mark.parametrize("names", [["spec.json"], ["act.onnx"], ["act.onnx", "spec.json", "../act.onnx"]])
def test_checksums_must_cover_the_needed_files_and_nothing_elsewhere(tmp_path, names):
    (tmp_path / "checksums.json").write_text(json.dumps(dict.fromkeys(names, "0"), indent=2, sort_keys=True) + "\n")

    with pytest.raises(BundleError, match=r"it must list \['act.onnx', 'spec.json'\], plain names only"):
        Bundle.open(tmp_path)


def test_networks_of_another_specification_are_refused(tmp_path, bundle_files, write_bundle, networks, spec):
    other = dataclasses.replace(spec, control_hz=50)
    files = bundle_files | {"act.onnx": networks["act"](other).SerializeToString()}

    message = r"act.onnx is not of the same export[\s\S]*soarm.spec is not the specification[\s\S]*\"control_hz\": 50"
    with pytest.raises(BundleError, match=message):
        Bundle.open(write_bundle(tmp_path / "mixed", files))


def test_a_network_in_the_place_of_another_is_refused(tmp_path, bundle_files, write_bundle):
    files = bundle_files | {"act.onnx": bundle_files["residual.onnx"]}

    message = r"soarm.network is 'residual', it must be 'act'[\s\S]*inputs are \{'residual_observation'"
    with pytest.raises(BundleError, match=message):
        Bundle.open(write_bundle(tmp_path / "swapped", files))


def test_a_network_may_leave_features_out_and_takes_none_that_the_specification_lacks(
    tmp_path, bundle_files, write_bundle, networks, spec
):
    more = dataclasses.replace(spec, features={**spec.features, "observation.images.front": Feature.image(4, 4)})
    less = dataclasses.replace(spec, features={key: spec.features[key] for key in (STATE, ACTION)})

    def folder(changed):
        files = {f"{name}.onnx": network(changed).SerializeToString() for name, network in networks.items()}
        plain = json.dumps(changed.to_dict(), indent=2, sort_keys=True) + "\n"
        return write_bundle(tmp_path / str(len(changed.features)), bundle_files | files | {"spec.json": plain.encode()})

    assert Bundle.open(folder(more)).spec == more
    with pytest.raises(BundleError, match=r"inputs are .*environment_state.*, spec.json has \{'observation.state': \(6,\)\}"):
        Bundle.open(folder(less))


def test_a_network_with_another_chunk_is_refused(tmp_path, bundle_files, write_bundle, networks, spec):
    content = networks["act"](spec, chunk_size=7).SerializeToString()

    with pytest.raises(BundleError, match=r"outputs are \{'action': \(7, 6\)\} .*asks for \{'action': \(5, 6\)\}"):
        Bundle.open(write_bundle(tmp_path / "chunk", bundle_files | {"act.onnx": content}))


def test_a_residual_without_its_scale_is_refused(tmp_path, bundle_files, write_bundle, spec):
    alone = dataclasses.replace(spec, residual_scale=None)

    files = bundle_files | {"spec.json": json.dumps(alone.to_dict()).encode()}

    message = r"residual_scale None and so asks for the networks \['act'\]; checksums.json lists \['act', 'residual'\]"
    with pytest.raises(BundleError, match=message):
        Bundle.open(write_bundle(tmp_path / "scale", files))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not json", r"spec.json is not a specification"),
        (b"[]", r"spec.json is not a specification"),
        (b'{"features": {}, "control_hz": 30, "fps": 30}', r"unknown keys \['fps'\]"),
        (b'{"features": {}, "control_hz": 30}', r"describes no chunk policy: chunk_size None"),
    ],
)
def test_a_bad_specification_is_refused(tmp_path, bundle_files, write_bundle, content, message):
    folder = write_bundle(tmp_path / "spec", bundle_files | {"spec.json": content})

    with pytest.raises(BundleError, match=message):
        Bundle.open(folder)


def test_a_file_that_is_no_onnx_is_refused(tmp_path, bundle_files, write_bundle):
    folder = write_bundle(tmp_path / "text", bundle_files | {"act.onnx": b"hello"})

    with pytest.raises(BundleError, match=r"ONNX Runtime [\d.]+ cannot load .*act.onnx"):
        Bundle.open(folder)


def test_weights_in_another_file_are_refused_even_where_that_file_lies_at_hand(
    tmp_path, monkeypatch, bundle_files, write_bundle, networks, spec, externalise
):
    folder = tmp_path / "external"
    folder.mkdir()
    content = externalise(networks["act"](spec), folder)
    write_bundle(folder, bundle_files | {"act.onnx": content})
    monkeypatch.chdir(folder)

    assert onnx.load(folder / "act.onnx").graph.initializer[0].raw_data  # whole for whoever follows the reference
    with pytest.raises(BundleError, match=r"act.onnx keeps weights in another file"):
        Bundle.open(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_is_named(bundle_folder: Path):
    (bundle_folder / "act.onnx").chmod(0)

    with pytest.raises(BundleError, match=r"act.onnx cannot be read: Permission denied"):
        Bundle.open(bundle_folder)
