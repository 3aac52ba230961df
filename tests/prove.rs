//! What the README says is in the record of what was measured.

mod support;

use host::prove::Record;
use host::prove::stated::Text;
use support::program::host;

/// Numbers with units in the README that are chosen, not measured, and where they are set.
const CHOSEN: [(&str, &str); 2] = [
    ("15 %", "HELD_BACK in host/src/dataset/folders.rs"),
    ("341 validation", "the validation folder of clothing-dataset-small"),
];

fn record() -> Record {
    Record::read().unwrap()
}

#[test]
fn the_record_is_of_a_whole_run_in_which_everything_was_equal() {
    let record = record();
    assert!(!record.quick, "a quick run proves a part");
    assert_eq!(record.unequal(), Vec::<&host::prove::Claim>::new());
    assert!(record.claims.len() > 150, "{}", record.claims.len());
    assert!(record.claims.iter().any(|claim| claim.claim.contains("cold build")), "run it with --build");
}

#[test]
fn every_figure_of_the_readme_is_in_the_record() {
    let (record, readme) = (record(), Text::read("README.md").unwrap());
    let of_readme = record.claims.iter().filter(|claim| claim.place == "README.md");
    let stated: Vec<&str> = of_readme.clone().filter_map(|claim| claim.stated.as_deref()).collect();
    for row in readme.rows("models") {
        let model = row["model"].trim_matches('`').to_owned();
        for (heading, figure) in &row {
            if ["model", "data"].contains(&heading.as_str()) || figure == "–" {
                continue;
            }
            let is_of = |claim: &&&host::prove::Claim| {
                let accuracy = format!("{model}: {heading} accuracy");
                claim.claim == accuracy || claim.claim == format!("{model}: {heading}")
            };
            let claims: Vec<_> = of_readme.clone().collect();
            let claim = claims.iter().find(is_of);
            let is_skipped = record
                .skipped
                .iter()
                .any(|skipped| skipped.claim.starts_with(&format!("{model}: {heading}")));
            assert!(
                is_skipped || claim.is_some_and(|claim| claim.stated.as_ref() == Some(figure)),
                "{model}, {heading}: {figure}; measure again with `cargo run -p host -- prove --record --build`"
            );
        }
    }
    let figures = readme.figures();
    assert!(figures.len() >= 5, "{figures:?}");
    for figure in figures {
        let number = figure.split(' ').next().unwrap();
        let is_stated = stated.iter().any(|text| text.split([' ', ',']).any(|word| word == number));
        let is_chosen = CHOSEN.iter().any(|(text, _)| *text == figure);
        assert!(
            is_stated || is_chosen,
            "{figure} stands in the README and in no claim: host/src/prove/measure"
        );
    }
}

#[test]
fn a_changed_figure_is_told() {
    let readme = Text::read("README.md").unwrap();
    let right = readme.figure("`small` on {} of 290 photographs").unwrap();
    assert!(right.ends_with(" %"), "{right}");
    let claim = |stated: &str| {
        let label = host::prove::Label::Measured;
        host::prove::Claim::new("x", label, "README.md", Some(stated.into()), right.clone(), "host x")
    };
    assert_eq!(claim(&right).equal, Some(true));
    assert_eq!(claim("99.9 %").equal, Some(false));
    let gone = readme.figure("a sentence that is not there {} at all");
    let claim =
        host::prove::Claim::new("x", host::prove::Label::Measured, "README.md", gone, right, "host x");
    assert_eq!(claim.equal, Some(false), "a figure without a text is not equal");
}

#[test]
fn what_needs_data_that_is_missing_is_not_measured_and_never_measured_on_other_data() {
    let mut command = host();
    command.env("GARMENT_PHOTOS_DIR", "/nowhere").args(["prove", "--only", "accuracies", "--json"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let record: Record = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(record.claims, []);
    for (claim, remedy) in
        [("nano: int8 accuracy", "host data fetch"), ("photo: int8 accuracy", "GARMENT_PHOTOS_DIR")]
    {
        let skipped = record.skipped.iter().find(|skipped| skipped.claim == claim).unwrap();
        assert!(skipped.reason.contains(remedy), "{}", skipped.reason);
    }
}
