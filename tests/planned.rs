//! Whole networks, planned in every way: the reference kernels' logits, and the memory that was allowed.

mod support;

use std::sync::OnceLock;

use host::bench::networks;
use host::model_dir::ModelDir;
use host::plan::{NetworkPlan, Options, Profile};
use host::quantize::network::FirmwareNetwork;
use host::quantize::quantized;
use support::{Need, fashion_mnist, have, noise};

/// All plans of a network that differ.
fn plans(network: &FirmwareNetwork) -> Vec<NetworkPlan> {
    let options = [Options::FASTEST, Options::default(), Profile::Size.into(), Profile::Scalar.into()];
    options.into_iter().map(|options| NetworkPlan::new(network, options).unwrap()).collect()
}

fn committed(name: &str) -> FirmwareNetwork {
    ModelDir::new(&host::project_root().join("models").join(name)).read_firmware().unwrap()
}

#[test]
fn whole_networks_planned_any_way_give_the_reference_s_logits() {
    let networks =
        networks::NAMES.map(|name| (name, networks::network(name).unwrap().to_firmware().unwrap()));
    let odd = [("odd", networks::odd().to_firmware().unwrap())];
    let models = ["small", "article"].map(|name| (name, committed(name)));
    for (name, network) in networks.into_iter().chain(odd).chain(models) {
        let samples = noise(network.quantized().task.input, 6, 31);
        for plan in plans(&network) {
            for index in 0..samples.len() {
                let image = quantized(samples.image(index));
                assert_eq!(
                    plan.logits(&image),
                    network.logits(&image),
                    "{name} {}, image {index}",
                    plan.options()
                );
            }
        }
    }
}

#[test]
fn a_colour_image_is_read_by_packed_kernels_too() {
    let network = networks::colour().to_firmware().unwrap();
    let images: Vec<Vec<i8>> = (0..6u32)
        .map(|seed| (0..37 * 37 * 3u32).map(|at| ((at * 7_919 + seed * 104_729) % 251) as i8).collect())
        .collect();
    for plan in plans(&network) {
        let kernels: Vec<&str> = plan.decisions().iter().map(|decision| decision.kernel).collect();
        let is_scalar = plan.options().profile == Profile::Scalar;
        assert_eq!(kernels[0], if is_scalar { "copy" } else { "copy 3→4" }, "{kernels:?}");
        assert!(is_scalar || !kernels.contains(&"scalar"), "{kernels:?}");
        for image in &images {
            assert_eq!(plan.logits(image), network.logits(image), "{}", plan.options());
        }
    }
}

#[test]
fn packed_kernels_give_the_reference_s_logits_on_all_test_images() {
    if !have("packed_kernels_give_the_reference_s_logits_on_all_test_images", &[Need::Data]) {
        return;
    }
    let (test, network) = (&fashion_mnist().test, committed("small"));
    let plans =
        [Options::FASTEST, Profile::Size.into()].map(|options| NetworkPlan::new(&network, options).unwrap());
    static MISMATCH: OnceLock<usize> = OnceLock::new();
    std::thread::scope(|scope| {
        for start in 0..2 {
            let (plans, network) = (&plans, &network);
            scope.spawn(move || {
                for index in (start..test.len()).step_by(2) {
                    let image = quantized(test.image(index));
                    let expected = network.logits(&image);
                    if plans.iter().any(|plan| plan.logits(&image) != expected) {
                        let _ = MISMATCH.set(index);
                    }
                }
            });
        }
    });
    assert_eq!(MISMATCH.get(), None, "first image that differs");
}

#[test]
fn a_budget_of_constants_is_kept_and_too_small_a_one_refused() {
    let network = committed("small");
    let sizes: Vec<usize> = [32, 48, 64, 128, 256]
        .into_iter()
        .map(|kib| {
            let flash = Some(kib * 1024);
            let plan = NetworkPlan::new(&network, Options { profile: Profile::Speed, flash }).unwrap();
            assert!(plan.constant_bytes() <= kib * 1024);
            plan.decisions().iter().map(|decision| decision.estimate).sum()
        })
        .collect();
    assert!(sizes.is_sorted_by(|more, fewer| more >= fewer) && sizes[0] > sizes[4], "{sizes:?}");
    let refused = NetworkPlan::new(&network, Options { profile: Profile::Speed, flash: Some(20_000) });
    assert!(refused.unwrap_err().to_string().contains("--flash allows 20000"));
}

#[test]
fn plans_need_no_more_memory_than_the_layers_apart() {
    for name in networks::NAMES {
        let network = networks::network(name).unwrap().to_firmware().unwrap();
        let apart = network.with_network(|network| network.arena_bytes());
        let plan = NetworkPlan::new(&network, Profile::Size).unwrap();
        assert!(plan.arena_bytes() <= apart, "{name}: {} of {apart}", plan.arena_bytes());
    }
}
