//! Hands the linker its scripts.

fn main() {
    linker_scripts::link(&["link.x"]);
}
