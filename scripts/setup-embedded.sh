#!/usr/bin/env bash
# Installs what building and emulating the firmware takes, where it is missing; never changes a
# toolchain that rustup installed.
#
# The emulators: QEMU for Arm and RISC-V, and rp2040js (npm, into target/tools) for the Raspberry Pi Pico.
#
# With the embedded target in the active toolchain (rustup fetches it by itself, rust-toolchain.toml asks
# for it) and the emulators here this does nothing. On a Debian machine whose rustup cannot fetch targets it
# installs Debian's rustc with its sources and links it as the rustup toolchain `debian`, which
# `host device build` then uses by itself.
set -euo pipefail

target=thumbv7em-none-eabihf
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo

need_debian_rust=true
[ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] && need_debian_rust=false

packages=()
command -v qemu-system-arm >/dev/null || packages+=(qemu-system-arm)
command -v qemu-system-riscv32 >/dev/null || packages+=(qemu-system-misc)
command -v npm >/dev/null || packages+=(nodejs npm)
if $need_debian_rust; then
  [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] || packages+=(rustc-web cargo-web)
  [ -d /usr/lib/rustlib/src/rust/library ] || packages+=(rust-web-src)
fi
if [ ${#packages[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || {
    echo "missing: ${packages[*]}; install qemu-system-arm and run 'rustup target add $target'" >&2
    exit 5
  }
  echo "installing ${packages[*]}"
  $sudo apt-get update -qq
  $sudo apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi
if $need_debian_rust && ! rustup toolchain list | grep -q '^debian'; then
  rustup toolchain link debian /usr
fi
# The emulator of the Raspberry Pi Pico, in JavaScript.
if [ ! -d "$(dirname "$0")/../target/tools/node_modules/rp2040js" ]; then
  mkdir -p "$(dirname "$0")/../target/tools"
  npm install --silent --no-audit --no-fund --prefix "$(dirname "$0")/../target/tools" rp2040js@1.4.1
fi
echo "ready: $(qemu-system-arm --version | head -n 1)"
