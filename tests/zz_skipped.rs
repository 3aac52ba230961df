//! Runs after the other tests of the package and prints what they skipped, with the command that helps.

mod support;

use support::{Need, skip_folder};

fn main() {
    let folder = skip_folder();
    let mut skipped: Vec<(String, String)> = Vec::new();
    if let Ok(entries) = std::fs::read_dir(&folder) {
        for entry in entries.flatten() {
            let need = std::fs::read_to_string(entry.path()).unwrap_or_default();
            skipped.push((need, entry.file_name().to_string_lossy().into_owned()));
        }
        let _ = std::fs::remove_dir_all(&folder);
    }
    skipped.sort();
    if skipped.is_empty() {
        println!("\nno test was skipped");
        return;
    }
    println!("\nskipped on this machine:");
    for need in Need::ALL {
        let tests: Vec<&str> =
            skipped.iter().filter(|(name, _)| name == need.name()).map(|(_, test)| test.as_str()).collect();
        if !tests.is_empty() {
            println!("  {} for want of {}: {}", tests.len(), need.name(), tests.join(", "));
            println!("    get it with: {}", need.remedy());
        }
    }
    let names: Vec<&str> = Need::ALL.iter().map(|need| need.name()).collect();
    println!("REQUIRE={} turns a skip into a failure.\n", names.join(","));
}
