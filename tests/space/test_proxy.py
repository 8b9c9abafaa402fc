import dataclasses

from effsearch.space.outcome import ContinuedFidelity, Fidelity
from effsearch.space.proxy import fidelity_for, proxy_spec
from effsearch.space.spec import ModelSpec

FIDELITY = Fidelity(num_images=1000, num_epochs=2, resolution=32, width=0.5, num_removed_strides=1)


def test_the_proxy_is_narrower_smaller_and_keeps_its_map(b0: ModelSpec) -> None:
    proxy = proxy_spec(b0, FIDELITY, num_classes=10)
    assert (proxy.resolution, proxy.num_classes) == (32, 10)
    assert (proxy.stem.stride, proxy.stem.out_channels) == (1, 16)
    assert [stage.num_blocks for stage in proxy.stages] == [stage.num_blocks for stage in b0.stages]


def test_a_plain_fidelity_changes_only_size_and_classes(b0: ModelSpec) -> None:
    plain = dataclasses.replace(FIDELITY, width=1.0, num_removed_strides=0)
    assert proxy_spec(b0, plain, num_classes=10) == dataclasses.replace(b0, resolution=32, num_classes=10)


def test_a_scaled_networks_proxy_grows_in_proportion(b0: ModelSpec) -> None:
    larger = dataclasses.replace(b0, resolution=258)
    assert fidelity_for(larger, FIDELITY, target_resolution=224).resolution == 37  # 36.86
    assert fidelity_for(b0, FIDELITY, target_resolution=224) == FIDELITY


def test_all_stages_of_a_scaled_network_grow_in_proportion(b0: ModelSpec) -> None:
    first = dataclasses.replace(FIDELITY, resolution=16)
    second = ContinuedFidelity(**dataclasses.asdict(FIDELITY), continues=first)
    larger = dataclasses.replace(b0, resolution=448)
    grown = fidelity_for(larger, second, target_resolution=224)
    assert [stage.resolution for stage in grown.stages] == [32, 64]
    assert fidelity_for(b0, second, target_resolution=224) == second
