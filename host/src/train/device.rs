//! Compute devices by name. The CPU is built in; others come with Cargo features.

use burn::tensor::Device;
use clap::ValueEnum;

/// A burn backend to train on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// burn-flex on the CPU, pure Rust: the same seed gives the same weights.
    Cpu,
    /// NVIDIA GPU; build with `--features cuda`. Sums in another order: weights differ from run to run.
    Cuda,
    /// PyTorch's library on the CPU; build with `--features libtorch`, LIBTORCH_USE_PYTORCH=1 finds pip's.
    Libtorch,
    /// Any GPU with a Vulkan, Metal or DX12 driver; build with `--features wgpu`. Not bit-reproducible.
    Wgpu,
}

/// Returns the CPU device.
pub fn cpu() -> Device {
    Device::flex()
}

#[cfg(feature = "libtorch")]
#[allow(deprecated, reason = "burn keeps it for machines where PyTorch is the fastest there is")]
fn libtorch() -> Device {
    Device::libtorch()
}

impl Backend {
    /// Opens the device.
    ///
    /// # Errors
    /// A sentence with the remedy where this build lacks the backend.
    pub fn device(self) -> Result<Device, String> {
        match self {
            Backend::Cpu => Ok(cpu()),
            #[cfg(feature = "cuda")]
            Backend::Cuda => Ok(Device::cuda(0)),
            #[cfg(feature = "libtorch")]
            Backend::Libtorch => Ok(libtorch()),
            #[cfg(feature = "wgpu")]
            Backend::Wgpu => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
            #[allow(unreachable_patterns)]
            other => {
                let name = other.to_possible_value().map(|value| value.get_name().to_owned());
                let name = name.unwrap_or_default();
                Err(format!(
                    "this build has no {name} backend; build it with `cargo run -p host --features {name} -- train --backend {name}`"
                ))
            }
        }
    }
}
