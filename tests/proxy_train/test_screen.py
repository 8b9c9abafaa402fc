import dataclasses
import math
import pickle

import numpy as np
import pytest
import torch

from effsearch.proxy_train import screen
from effsearch.proxy_train.augment import to_input
from effsearch.proxy_train.data.datasets import load_images
from effsearch.proxy_train.device import ON_CPU
from effsearch.proxy_train.score import normalisation_of, opened_images
from effsearch.proxy_train.screen import SupernetWorker, compute_norm_statistics, score_inherited
from effsearch.proxy_train.supernet import Supernet
from effsearch.proxy_train.supernet_train import SupernetSettings, path_spec
from effsearch.space.errors import RunError
from effsearch.space.outcome import Fidelity, TrainingFailed
from effsearch.space.sharing import shared_shapes
from effsearch.space.space_text import space_from_yaml
from effsearch.space.supernet_work import RoundResult, ScoreBatch, SupernetPlan, TrainRound

from ..conftest import write_colours

pytestmark = pytest.mark.usefixtures("one_thread")

SPACE = space_from_yaml("""\
schema_version: 1
name: tiny
norm_momentum: 0.1
stem: {out_channels: 8}
stages: [{stride: 2, channels: [8, 16], repeats: [1, 2], kernel_size: [3, 5], expand_ratio: 2, se_ratio: 0}]
head: {out_channels: 16}
""")
POINTS = ((0, 0, 0), (1, 0, 1), (1, 1, 0))
PLAN = SupernetPlan(
    fidelity=Fidelity(num_images=96, num_epochs=1, resolution=12),
    num_steps=60,
    num_rounds=1,
    num_replicas=1,
    sharing="sliced",
    seed=0,
)
SETTINGS = SupernetSettings(batch_size=16, learning_rate=0.4, num_calibration_images=60, num_val_images=12)


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    """Over three classes of PNG files, each noise with one colour raised."""
    root = tmp_path_factory.mktemp("images")
    write_colours(root / "colours")
    images = load_images(str(root / "colours"), resolution=12, cache_dir=root / "cache")
    return SupernetWorker(images.handle, SPACE, SETTINGS)


@pytest.fixture(scope="module")
def weights(worker, tmp_path_factory):
    """A supernet that was trained for a moment."""
    torch.set_num_threads(1)
    output = tmp_path_factory.mktemp("supernet") / "weights"
    answer = worker(TrainRound(plan=PLAN, round_index=0, replica=0, paths=POINTS, inputs=(), output=output))
    assert isinstance(answer, RoundResult)
    return (output,)


def score(worker, points=POINTS, weights=()):
    return worker(ScoreBatch(plan=PLAN, points=points, weights=weights))


def what_counts(scores):
    return [(one.naswot, one.val_loss, one.val_accuracy) for one in scores]


def test_without_weights_only_naswot_is_known(worker):
    scores = score(worker)
    assert len(scores) == 3
    for one in scores:
        assert math.isfinite(one.naswot)
        assert (one.val_loss, one.val_accuracy, one.value) == (None, None, one.naswot)
        assert one.core_seconds > 0
    assert len({one.naswot for one in scores}) == 3


def test_networks_of_a_trained_supernet_tell_the_classes_apart(worker, weights):
    for one in score(worker, weights=weights):
        assert one.val_loss < math.log(3) - 0.1
        assert one.val_accuracy > 0.6  # chance is a third
        assert one.value == -one.val_loss


def test_a_score_is_the_same_to_the_bit_alone_in_company_and_elsewhere(worker, weights):
    scores = what_counts(score(worker, weights=weights))
    assert what_counts(score(worker, POINTS[::-1], weights)) == scores[::-1]
    sent = pickle.loads(pickle.dumps(worker))
    assert what_counts(score(sent, POINTS[1:2], weights)) == scores[1:2]


def test_a_network_that_cannot_be_scored_is_none_and_the_others_are_scored(worker, weights, monkeypatch):
    original = screen.score_on_split

    def picky(network, *args, **kwargs):
        if network.spec.stages[0].out_channels == 8:
            raise TrainingFailed("not finite")
        return original(network, *args, **kwargs)

    monkeypatch.setattr(screen, "score_on_split", picky)
    first, *others = score(worker, weights=weights)
    assert first is None
    assert all(one is not None for one in others)


def test_a_worker_reads_the_weights_once(worker, weights, monkeypatch):
    reads = []
    original = screen.load_supernet
    monkeypatch.setattr(
        screen, "load_supernet", lambda *args, **kwargs: (reads.append(1), original(*args, **kwargs))[1]
    )
    screen._supernet.cache_clear()
    for point in POINTS:
        score(worker, (point,), weights)
    assert len(reads) == 1


def test_missing_weights_and_missing_images_are_one_line(worker, tmp_path):
    with pytest.raises(RunError, match=r"cannot read the supernet's weights in .*gone"):
        score(worker, weights=(tmp_path / "gone",))
    with pytest.raises(RunError, match="nowhere"):
        score(SupernetWorker(tmp_path / "nowhere", SPACE))


def make_network(images):
    supernet = Supernet(shared_shapes(SPACE, "sliced", width=1.0, num_classes=images.num_classes), seed=0)
    return supernet, path_spec(SPACE, POINTS[0], PLAN, num_classes=images.num_classes)


def test_norm_statistics_are_those_of_the_training_images(worker):
    images = opened_images(worker.handle)
    supernet, spec = make_network(images)
    network = supernet.inherit(spec)
    compute_norm_statistics(network, images, resolution=12, num_images=10**6)
    pixels = torch.from_numpy(np.array(images.train.images))
    with torch.no_grad():
        inputs = to_input(pixels, normalisation=normalisation_of(images), resolution=12)
        maps = network.stem.get_submodule("conv")(inputs)
    norm = network.stem.get_submodule("conv_norm")
    torch.testing.assert_close(norm.running_mean, maps.mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, maps.var((0, 2, 3)))


def test_a_score_is_the_same_wherever_the_images_lie(worker):
    images = opened_images(worker.handle)
    supernet, spec = make_network(images)
    scores = [
        score_inherited(supernet, spec, images, resolution=12, settings=SETTINGS, compute=compute)
        for compute in (ON_CPU, dataclasses.replace(ON_CPU, has_resident_images=True))
    ]
    assert scores[0] == scores[1]


def test_norm_statistics_forget_what_was_there_before(worker):
    images = opened_images(worker.handle)
    supernet, spec = make_network(images)
    once, twice = supernet.inherit(spec), supernet.inherit(spec)
    compute_norm_statistics(twice, images, resolution=12, num_images=7)
    for network in (once, twice):
        compute_norm_statistics(network, images, resolution=12, num_images=40)
    pairs = zip(once.state_dict().values(), twice.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_scoring_leaves_the_supernet_as_it_was(worker):
    images = opened_images(worker.handle)
    supernet, spec = make_network(images)
    before = {name: weight.detach().clone() for name, weight in supernet.weights.items()}
    one = score_inherited(supernet, spec, images, resolution=12, settings=SETTINGS)
    assert one.num_images == 12
    assert all(torch.equal(before[name], weight) for name, weight in supernet.weights.items())


def test_a_second_score_looks_at_more_images(worker, weights):
    settings = dataclasses.replace(SETTINGS, num_val_images=6, num_second_val_images=12)
    twice = dataclasses.replace(worker, settings=settings)
    batch = ScoreBatch(plan=PLAN, points=POINTS, weights=weights)
    first, second = twice(batch), twice(dataclasses.replace(batch, is_second=True))
    many = worker(batch)  # 12 images, by its settings
    assert [score.is_second for score in (*first, *second)] == [False] * 3 + [True] * 3
    assert [score.val_loss for score in second] == [score.val_loss for score in many]
    assert [score.val_loss for score in second] != [score.val_loss for score in first]
