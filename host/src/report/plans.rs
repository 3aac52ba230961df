//! What the generator chose for each step, and why.

use super::table;
use crate::plan::{NetworkPlan, Profile};

/// Formats a plan's account: a table of steps and a line of sums.
pub fn account(plan: &NetworkPlan) -> String {
    let decisions = plan.decisions();
    let header = ["layers", "kernel", "MACs", "instructions ~", "constants B", "memory B", "instead of"];
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
                decision.instead_of.clone(),
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
        "{}{}: {why}; about {} K instructions, {} B of constants, {} B of activations and scratch\n",
        table::format(&header, &rows),
        options.profile.name(),
        estimate.div_ceil(1_000),
        plan.constant_bytes(),
        plan.arena_bytes(),
    )
}
