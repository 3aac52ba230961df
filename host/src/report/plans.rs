//! What the generator chose for each step, and why.

use super::table;
use crate::plan::{NetworkPlan, Profile};

/// Lists what each step was chosen over, one step a line; empty where nothing was.
pub fn alternatives(plan: &NetworkPlan) -> String {
    let decisions = plan.decisions();
    let chosen = decisions.iter().filter(|decision| !decision.instead_of.is_empty());
    chosen.map(|step| format!("{}: {} instead of {}\n", step.layers, step.kernel, step.instead_of)).collect()
}

/// Formats a plan's account: a table of steps and a line of sums.
pub fn account(plan: &NetworkPlan) -> String {
    let decisions = plan.decisions();
    let header = ["layers", "kernel", "MACs", "instr. ~", "const. B", "memory B"];
    let rows: Vec<Vec<String>> = decisions
        .iter()
        .map(|decision| {
            vec![
                decision.layers.clone(),
                decision.kernel.to_owned(),
                decision.macs.to_string(),
                decision.estimate.to_string(),
                decision.constant_bytes.to_string(),
                decision.memory_bytes.to_string(),
            ]
        })
        .collect();
    let estimate: usize = decisions.iter().map(|decision| decision.estimate).sum();
    let options = plan.options();
    let why = match (options.profile, options.budget()) {
        (Profile::Speed, None) => {
            "fewest instructions within 64 KiB of constants, or what the network needs".to_owned()
        }
        (Profile::Speed, Some(budget)) => format!("fewest instructions within --flash {budget}"),
        (Profile::Size, _) => "fewest bytes of constants".to_owned(),
        (Profile::Scalar, _) => "reference kernels only".to_owned(),
    };
    format!(
        "{}{}: {why}:\nabout {} K instructions, {} B of constants, {} B of activations and scratch\n",
        table::format(&header, &rows),
        options.profile.name(),
        estimate.div_ceil(1_000),
        plan.constant_bytes(),
        plan.arena_bytes(),
    )
}
