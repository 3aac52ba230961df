//! Hands the linker its scripts.

fn main() {
    linker_scripts::link(&["memory.x", "link.x"]);
}
