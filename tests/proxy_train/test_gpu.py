"""What only a GPU can show: `pytest -m gpu tests/proxy_train/test_gpu.py` where there is one."""

import contextlib
import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from effsearch.proxy_train import steps, train
from effsearch.proxy_train.augment import AugmentSettings, draw_augmentation, to_input
from effsearch.proxy_train.batches import open_on, send_plans
from effsearch.proxy_train.build import build_model
from effsearch.proxy_train.data.datasets import ImageData, load_images
from effsearch.proxy_train.device import ON_CPU, compute_on, resolve_device, slots_for_memory
from effsearch.proxy_train.estimate import estimate_seconds
from effsearch.proxy_train.evaluator import ProxyEvaluator
from effsearch.proxy_train.gpu_memory import measure_gpu_slots
from effsearch.proxy_train.memory import memory_as_failure
from effsearch.proxy_train.score import normalisation_of, score_on_split
from effsearch.proxy_train.screen import SupernetWorker
from effsearch.proxy_train.short_training import for_short_training, train_proxy
from effsearch.proxy_train.steps import EagerStep, GraphStep
from effsearch.proxy_train.train import TrainSettings, make_optimizer
from effsearch.proxy_train.zero_cost import ZERO_COST, zero_cost_scores
from effsearch.space.outcome import Fidelity, OutOfMemory
from effsearch.space.presets import load_preset
from effsearch.space.proxy import proxy_spec
from effsearch.space.space_text import space_from_yaml
from effsearch.space.supernet_work import ScoreBatch, SupernetPlan, TrainRound

pytestmark = pytest.mark.gpu

SPEC = load_preset("efficientnet-b0")
FIDELITY = Fidelity(num_images=6_400, num_epochs=3, resolution=16, width=0.5, num_removed_strides=2)
SETTINGS = TrainSettings()
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return load_images("synthetic", resolution=16, cache_dir=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def gpu():
    return compute_on(resolve_device("cuda"))


@pytest.fixture
def no_waiting():
    """Makes whatever lets the host wait for the device an error."""

    @contextlib.contextmanager
    def forbid():
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")

    return forbid


def model_and_work(images: ImageData, compute, *, settings=SETTINGS):
    """A network on the device, its optimizer, the work of its steps, and ten plans."""
    spec = for_short_training(proxy_spec(SPEC, FIDELITY, num_classes=images.num_classes), settings)
    model = build_model(spec, seed=0).to(compute.device).train()
    optimizer = make_optimizer(model, settings)
    opened = open_on(images.train, compute)
    work = train._work_of_step(
        model,
        optimizer,
        images=opened,
        settings=settings,
        normalisation=normalisation_of(images),
        resolution=FIDELITY.resolution,
        compute=compute,
    )
    generator = torch.Generator().manual_seed(0)
    rows = np.arange(10 * settings.batch_size).reshape(10, -1)
    draws = [
        draw_augmentation(
            settings.batch_size, size=images.resolution, settings=settings.augment, generator=generator
        )
        for _ in rows
    ]
    return model, optimizer, work, send_plans(rows, draws, images=opened, device=compute.device)


def losses_of(stepper, plans):
    return torch.stack([stepper(plan, 0.05) for plan in plans]).cpu()


def test_accuracy_is_near_the_cpus(images, gpu):
    def accuracies(compute):
        for seed in SEEDS:
            training = train_proxy(images, SPEC, FIDELITY, seed, SETTINGS, compute)
            yield score_on_split(
                training.model,
                images.val,
                normalisation=normalisation_of(images),
                resolution=FIDELITY.resolution,
                max_images=2_000,
                compute=compute,
            ).accuracy

    on_cpu, on_gpu = (np.array(list(accuracies(compute))) for compute in (ON_CPU, gpu))
    spread = max(on_cpu.std(ddof=1), on_gpu.std(ddof=1), 0.01)
    assert abs(on_cpu.mean() - on_gpu.mean()) < 3 * spread, (on_cpu, on_gpu)


def test_in_float32_first_steps_are_the_cpus(images, gpu):
    exact = dataclasses.replace(gpu, has_autocast=False, has_graphs=False)
    losses = []
    for compute in (ON_CPU, exact):
        _, optimizer, work, plans = model_and_work(images, compute)
        losses.append(losses_of(EagerStep(work, optimizer), plans))
    torch.testing.assert_close(*losses, rtol=2e-2, atol=1e-2)


def test_batches_are_the_cpus_to_the_bit_before_they_are_normalised(images, gpu):
    plans = [model_and_work(images, compute)[3] for compute in (ON_CPU, gpu)]
    for on_cpu, on_gpu in zip(*plans, strict=True):
        assert all(torch.equal(one, other.cpu()) for one, other in zip(on_cpu, on_gpu, strict=True))
    pixels = torch.from_numpy(np.array(images.train.images[:64]))
    inputs = [
        to_input(pixels.to(device), normalisation=normalisation_of(images), resolution=24).cpu()
        for device in ("cpu", "cuda")
    ]
    torch.testing.assert_close(*inputs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cutout_share", [0.0, 0.4])
def test_a_graph_takes_the_steps_that_calls_take(images, gpu, cutout_share):
    settings = dataclasses.replace(SETTINGS, augment=AugmentSettings(cutout_share=cutout_share))
    model, optimizer, work, plans = model_and_work(images, gpu, settings=settings)
    fresh = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    graph = GraphStep(work, model, optimizer, plans[0])
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, fresh[name]), name  # a capture leaves no trace
    replayed = losses_of(graph, plans)
    _, optimizer, work, _ = model_and_work(images, gpu, settings=settings)
    called = losses_of(EagerStep(work, optimizer), plans)
    torch.testing.assert_close(replayed, called, rtol=2e-2, atol=1e-2)


def test_a_graph_draws_dropout_anew_each_step_and_again_by_the_seed(images, gpu):
    settings = dataclasses.replace(SETTINGS, dropout_rate=0.5, drop_path_rate=0.3)

    def replayed():
        with train.seeded_globally(5, gpu.device):
            model, optimizer, work, plans = model_and_work(images, gpu, settings=settings)
            graph = GraphStep(work, model, optimizer, plans[0])
            return torch.stack([graph(plans[0], 0.0) for _ in range(4)]).cpu()  # weights stand still

    first, second = replayed(), replayed()
    assert len(set(first.tolist())) == 4
    torch.testing.assert_close(first, second, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("has_graphs", [False, True])
def test_no_step_waits_for_the_device(images, gpu, no_waiting, has_graphs):
    model, optimizer, work, plans = model_and_work(images, gpu)
    stepper = GraphStep(work, model, optimizer, plans[0]) if has_graphs else EagerStep(work, optimizer)
    stepper(plans[0], 0.1)  # libraries load, momenta are made
    with no_waiting():
        losses = [stepper(plan, 0.1) for plan in plans]
    assert torch.stack(losses).isfinite().all()


def test_a_long_training_is_captured_and_learns(images, gpu, monkeypatch):
    made = []
    original = GraphStep.__init__

    def counting(self, *args):
        original(self, *args)
        made.append(1)

    monkeypatch.setattr(GraphStep, "__init__", counting)
    monkeypatch.setattr(steps, "MIN_GRAPH_STEPS", 100)
    training = train_proxy(images, SPEC, FIDELITY, 0, SETTINGS, gpu)
    assert made == [1]
    assert all(torch.isfinite(parameter).all() for parameter in training.model.parameters())


def test_running_out_of_memory_is_reported_and_the_next_training_goes_well(images):
    evaluate = ProxyEvaluator(images.handle, SETTINGS, "cuda")
    with pytest.raises(OutOfMemory, match="out of memory: CUDA out of memory"), memory_as_failure():
        torch.empty(2**50, dtype=torch.uint8, device="cuda")
    huge = dataclasses.replace(evaluate, settings=dataclasses.replace(SETTINGS, batch_size=6_400))
    wide = dataclasses.replace(FIDELITY, resolution=256, width=8.0, num_epochs=1)
    with pytest.raises(OutOfMemory):
        huge(SPEC, wide, 0)
    assert evaluate(SPEC, dataclasses.replace(FIDELITY, num_epochs=1), 0).val_accuracy > 0


def test_slots_and_seconds_are_measured(images, gpu):
    assert 1 <= measure_gpu_slots(images.handle, [SPEC], FIDELITY, SETTINGS) <= 8
    assert slots_for_memory(peak_bytes=2**30, free_bytes=torch.cuda.mem_get_info()[0]) >= 1
    seconds = estimate_seconds(
        SPEC, FIDELITY, num_classes=10, num_val_images=1_000, batch_size=64, compute=gpu
    )
    assert 0 < seconds < 600


def test_a_supernet_trains_and_scores(images, tmp_path):
    space = space_from_yaml("""\
schema_version: 1
name: tiny
stem: {out_channels: 8}
stages: [{stride: 2, channels: [8, 16], repeats: [1, 2], kernel_size: [3, 5], expand_ratio: 2, se_ratio: 0}]
head: {out_channels: 16}
""")
    points = ((0, 0, 0), (1, 0, 1), (1, 1, 0))
    plan = SupernetPlan(
        fidelity=Fidelity(num_images=2_000, num_epochs=1, resolution=16),
        num_steps=80,
        num_rounds=2,
        num_replicas=1,
        sharing="sliced",
        seed=0,
    )
    on_cpu, on_gpu = (SupernetWorker(images.handle, space, device=device) for device in ("cpu", "cuda"))
    task = TrainRound(plan=plan, round_index=0, replica=0, paths=points, inputs=(), output=tmp_path / "0")
    first = on_gpu(task)
    second = on_gpu(dataclasses.replace(task, round_index=1, inputs=(tmp_path / "0",), output=tmp_path / "1"))
    assert second.train_loss < first.train_loss
    batch = ScoreBatch(plan=plan, points=points, weights=(tmp_path / "1",))
    for one, other in zip(on_cpu(batch), on_gpu(batch), strict=True):
        assert one.val_loss == pytest.approx(other.val_loss, abs=0.02)
        assert one.naswot == pytest.approx(other.naswot, rel=0.01)


def test_zero_cost_scores_are_the_cpus_but_for_rounding(images, gpu):
    on_cpu, on_gpu = (
        zero_cost_scores(
            proxy_spec(SPEC, FIDELITY, num_classes=10),
            images,
            names=tuple(ZERO_COST),
            resolution=16,
            seed=0,
            compute=compute,
        )
        for compute in (ON_CPU, gpu)
    )
    assert on_gpu == pytest.approx(on_cpu, rel=0.05)


def test_scores_are_taken_in_float32(images, gpu):
    seen = []

    class Watching(torch.nn.Module):
        def forward(self, inputs):
            seen.append(functional.conv2d(inputs, inputs.new_ones(2, 3, 1, 1)).dtype)
            return inputs.new_zeros(len(inputs), images.num_classes)

    score_on_split(
        Watching(),
        images.val,
        normalisation=normalisation_of(images),
        resolution=16,
        max_images=10,
        compute=gpu,
    )
    assert seen == [torch.float32]
