import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.device import ON_CPU
from effsearch.proxy_train.supernet import Supernet
from effsearch.proxy_train.supernet_train import (
    MOMENTUM_PREFIX,
    SupernetSettings,
    load_supernet,
    make_supernet_optimizer,
    path_spec,
    train_round,
    train_steps,
)
from effsearch.space.errors import RunError
from effsearch.space.outcome import Fidelity, TrainingFailed
from effsearch.space.sharing import compact, shapes_of_specs, shared_layers, shared_shapes
from effsearch.space.space_text import space_from_yaml
from effsearch.space.supernet_work import SupernetPlan, TrainRound

from .conftest import coloured_split

pytestmark = pytest.mark.usefixtures("one_thread")

SPACE = space_from_yaml("""\
schema_version: 1
name: tiny
drop_path_rate: 0.3
stem: {out_channels: 8}
stages:
  - {stride: 2, channels: 8, repeats: 1, kernel_size: [3, 5], expand_ratio: [1, 2], se_ratio: [0, 0.25]}
  - channels: 16
    layers: [&layer {any_of: [{kind: identity}, {kind: mbconv, expand_ratio: 2}]}, *layer]
head: {out_channels: 16, dropout_rate: 0.5}
""")
PLAN = SupernetPlan(
    fidelity=Fidelity(num_images=96, num_epochs=1, resolution=8),
    num_steps=6,
    num_rounds=2,
    num_replicas=2,
    sharing="sliced",
    seed=0,
)
PATHS = ((0, 0, 0, 1, 0), (1, 1, 1, 1, 1), (0, 1, 0, 0, 1))
SETTINGS = SupernetSettings(batch_size=16)


def make_images(num_images=96):
    split = coloured_split(num_images, side=8)
    return ImageData(
        train=split,
        val=split,
        test=split,
        class_names=("red", "green", "blue"),
        resolution=8,
        fingerprint="0",
        name="colours",
        native_resolution=8,
        channel_mean=(0.4, 0.4, 0.4),
        channel_std=(0.25, 0.25, 0.25),
        num_left_out=0,
        handle=Path("nowhere"),
    )


IMAGES = make_images()


def train(
    output,
    *,
    plan=PLAN,
    round_index=0,
    replica=0,
    inputs=(),
    paths=PATHS,
    settings=SETTINGS,
    images=IMAGES,
    compute=ON_CPU,
):
    task = TrainRound(
        plan=plan, round_index=round_index, replica=replica, paths=paths, inputs=tuple(inputs), output=output
    )
    return train_round(task, space=SPACE, images=images, settings=settings, compute=compute)


def same_tensors(first, second):
    one, other = load_file(first), load_file(second)
    return one.keys() == other.keys() and all(
        torch.equal(tensor, other[name]) for name, tensor in one.items()
    )


def first_weights():
    return make_supernet().weights


def make_supernet():
    return Supernet(shared_shapes(SPACE, "sliced", width=1.0, num_classes=3), seed=0)


def test_one_round_is_the_same_to_the_bit(tmp_path):
    result = train(tmp_path / "one")
    torch.rand(5)  # what the process drew before does not matter
    again = train(tmp_path / "two")
    assert same_tensors(tmp_path / "one", tmp_path / "two")
    assert result.train_loss == again.train_loss
    assert result.num_images_seen == 3 * 16


def test_a_device_that_runs_ahead_with_its_own_images_trains_the_same(tmp_path):
    train(tmp_path / "one")
    for steps_per_look in (2, 50):
        compute = dataclasses.replace(ON_CPU, has_resident_images=True, steps_per_look=steps_per_look)
        train(tmp_path / "two", compute=compute)
        assert same_tensors(tmp_path / "one", tmp_path / "two")


def test_training_leaves_global_random_state_alone(tmp_path):
    before = torch.get_rng_state()
    train(tmp_path / "one")
    assert torch.equal(before, torch.get_rng_state())


def test_replicas_rounds_and_seeds_train_differently(tmp_path):
    train(tmp_path / "one")
    train(tmp_path / "two", replica=1)
    train(tmp_path / "three", round_index=1)
    train(tmp_path / "four", plan=dataclasses.replace(PLAN, seed=1))
    for name in ("two", "three", "four"):
        assert not same_tensors(tmp_path / "one", tmp_path / name)


def test_the_rate_share_of_a_plan_is_a_share_of_the_learning_rate(tmp_path):
    share = dataclasses.replace(PLAN, rate_share=0.25)
    slow = dataclasses.replace(SETTINGS, learning_rate=0.25 * SETTINGS.learning_rate)
    train(tmp_path / "share", plan=share)
    train(tmp_path / "slow", settings=slow)
    train(tmp_path / "full")
    assert same_tensors(tmp_path / "share", tmp_path / "slow")
    assert not same_tensors(tmp_path / "share", tmp_path / "full")


def test_training_a_path_moves_the_tensors_it_reads_and_no_others(tmp_path):
    point = (1, 1, 1, 1, 0)
    train(tmp_path / "one", paths=(point,))
    trained, before = load_file(tmp_path / "one"), first_weights()
    read = set()
    for shared in shared_layers(compact(path_spec(SPACE, point, PLAN, num_classes=3)), "sliced"):
        if shared.layer.kind in ("conv", "linear"):
            read.add(f"{shared.name}.weight")
            if shared.layer.has_norm:
                read |= {f"{shared.norm_name}_norm.weight", f"{shared.norm_name}_norm.bias"}
            if shared.layer.has_bias:
                read.add(f"{shared.name}.bias")
    moved = {name for name, weight in before.items() if not torch.equal(trained[name], weight)}
    assert moved == read
    assert len(read) < len(before)
    assert {name.removeprefix(MOMENTUM_PREFIX) for name in trained if name not in before} == read


def test_a_round_starts_from_the_mean_of_all_replicas(tmp_path):
    """At a learning rate of zero a round gives back what it started from."""
    inputs = [tmp_path / "0", tmp_path / "1"]
    train(inputs[0], paths=PATHS[:1])
    train(inputs[1], paths=PATHS[1:2], replica=1)
    still = dataclasses.replace(SETTINGS, learning_rate=0.0)
    train(tmp_path / "next", round_index=1, inputs=inputs, paths=PATHS[:1], settings=still)
    one, other, after = load_file(inputs[0]), load_file(inputs[1]), load_file(tmp_path / "next")
    assert not same_tensors(*inputs)
    for name in first_weights():
        torch.testing.assert_close(after[name], (one[name] + other[name]) / 2)
    # Momenta of what the next round does not read stay as they came: here half of the second replica's.
    untouched = [name for name in other if name.startswith(MOMENTUM_PREFIX) and name not in one]
    assert untouched
    for name in untouched:
        torch.testing.assert_close(after[name], other[name] / 2)


def test_a_loaded_supernet_is_the_mean_of_its_files(tmp_path):
    files = (tmp_path / "0", tmp_path / "1")
    for replica, file in enumerate(files):
        train(file, replica=replica)
    supernet = load_supernet(SPACE, PLAN, files, num_classes=3)
    one, other = map(load_file, files)
    for name, weight in supernet.weights.items():
        torch.testing.assert_close(weight.detach(), (one[name] + other[name]) / 2)
        assert weight.ndim < 4 or weight.is_contiguous(memory_format=torch.channels_last)


def test_training_lowers_the_loss(tmp_path):
    plan = dataclasses.replace(PLAN, num_steps=48, num_replicas=1)
    settings = dataclasses.replace(SETTINGS, learning_rate=0.4)
    first = train(tmp_path / "0", plan=plan, settings=settings)
    second = train(tmp_path / "1", plan=plan, settings=settings, round_index=1, inputs=[tmp_path / "0"])
    assert second.train_loss < first.train_loss - 0.1


def test_each_path_trains_at_its_own_size():
    sizes = []

    class Watched(Supernet):
        def __call__(self, spec, images):
            sizes.append((spec.resolution, tuple(images.shape)))
            return super().__call__(spec, images)

    spec = path_spec(SPACE, PATHS[0], PLAN, num_classes=3)
    paths = iter([dataclasses.replace(spec, resolution=resolution) for resolution in (8, 12, 5)])
    supernet = Watched(shapes_of_specs([spec], "sliced"), seed=0)
    train_steps(
        supernet,
        make_supernet_optimizer(supernet, SETTINGS),
        IMAGES,
        draw_path=lambda: next(paths),
        steps=range(3),
        num_steps=3,
        num_images=96,
        settings=SETTINGS,
        generator=torch.Generator().manual_seed(0),
    )
    assert sizes == [(size, (16, 3, size, size)) for size in (8, 12, 5)]


def test_paths_train_without_dropout_at_the_plans_size():
    plan = dataclasses.replace(
        PLAN, fidelity=Fidelity(num_images=8, num_epochs=1, resolution=8, width=2.0, num_removed_strides=2)
    )
    spec = path_spec(SPACE, PATHS[0], plan, num_classes=3)
    assert (spec.head.dropout_rate, spec.drop_path_rate) == (0.0, 0.0)
    assert (spec.resolution, spec.num_classes) == (8, 3)
    assert (spec.stem.out_channels, spec.stem.stride, spec.stages[0].stride) == (16, 1, 1)


def test_a_diverging_training_fails_with_its_step(tmp_path):
    settings = dataclasses.replace(SETTINGS, learning_rate=1e30, max_gradient_norm=0.0)
    with pytest.raises(TrainingFailed, match=r"^the supernet's loss became (nan|inf) in step \d of 6$"):
        train(tmp_path / "one", settings=settings)
    assert not (tmp_path / "one").exists()


# Files that are not as they should be.


def refuses(file, message):
    with pytest.raises(RunError, match=message) as refused:
        load_supernet(SPACE, PLAN, (file,), num_classes=3)
    assert "\n" not in str(refused.value)
    assert "delete that folder" in str(refused.value)


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    train(tmp_path / "whole")
    content = (tmp_path / "whole").read_bytes()
    for num_bytes in (0, 1, 7, 8, 100, len(content) // 2, len(content) - 1):
        (tmp_path / "part").write_bytes(content[:num_bytes])
        refuses(tmp_path / "part", r"^cannot read the supernet's weights in .*part: ")


def test_a_bit_flipped_anywhere_is_noticed(tmp_path):
    train(tmp_path / "whole")
    content = (tmp_path / "whole").read_bytes()
    num_header = 8 + int.from_bytes(content[:8], "little")
    assert b"sha256" in content[:num_header]
    places = [*range(0, num_header, 211), *range(num_header, len(content), 3_001), len(content) - 1]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 7)
        if load_bytes(bytes(damaged)) == load_bytes(content):
            continue  # a space at the end of the header, say
        (tmp_path / "flipped").write_bytes(damaged)
        refuses(tmp_path / "flipped", "flipped")


def load_bytes(content):
    """What a file says, where it says anything: its header without the spaces around it, and its data."""
    num_header = 8 + int.from_bytes(content[:8], "little")
    return content[8:num_header].strip(), content[num_header:]


def test_a_file_that_is_gone_is_refused(tmp_path):
    refuses(tmp_path / "gone", r"^cannot read the supernet's weights in .*gone: ")


def test_a_supernet_of_another_space_is_refused(tmp_path):
    train(tmp_path / "one")
    other = space_from_yaml(
        "schema_version: 1\nname: other\nstem: {out_channels: 8}\nstages: [{channels: 24, repeats: 1}]\n"
    )
    with pytest.raises(RunError, match="one holds a supernet of another space; delete that folder"):
        load_supernet(other, PLAN, (tmp_path / "one",), num_classes=3)
    with pytest.raises(RunError, match="holds a supernet of another space"):
        load_supernet(SPACE, PLAN, (tmp_path / "one",), num_classes=4)


def test_weights_that_cannot_be_written_are_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"^cannot write .*file/one: "):
        train(tmp_path / "file" / "one")


def test_a_round_leaves_its_file_whole_and_nothing_beside_it(tmp_path):
    train(tmp_path / "supernet" / "one")
    assert [path.name for path in (tmp_path / "supernet").iterdir()] == ["one"]
