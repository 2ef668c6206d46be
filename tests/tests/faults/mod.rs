//! Every fault of azure-sim at every step of a cluster's life: it is told as the table says, it heals by itself or by the
//! manifest's correction, the write is done exactly once, and the number of requests meanwhile is bounded.

mod cell;
mod expected;
mod history;
mod log;
mod rows;
mod stage;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use self::rows::Fault;
use self::steps::Step;

/// How many cells are tried side by side.
const AT_ONCE: usize = 40;

/// Each cell is tried or has its reason, and nothing is left out but for one.
#[test]
fn what_is_left_out_has_its_reason() {
    let all = || rows::all().into_iter().flat_map(|fault| Step::ALL.map(|step| (fault.clone(), step)));
    let mut left_out: BTreeMap<&str, usize> = BTreeMap::new();
    for (fault, step) in all() {
        if let Some(why) = expected::excluded(&fault, step) {
            *left_out.entry(why).or_default() += 1;
        }
    }
    let tried = all().count() - left_out.values().sum::<usize>();
    eprintln!("{tried} cells of {}; left out: {left_out:#?}", all().count());
    for step in Step::ALL {
        let here = all().filter(|(fault, at)| *at == step && expected::excluded(fault, step).is_none()).count();
        assert!(here >= 10, "{step:?} is tried with {here} faults only");
    }
    for fault in rows::all() {
        assert!(
            Step::ALL.iter().any(|step| expected::excluded(&fault, *step).is_none()),
            "{} is never tried",
            fault.name
        );
    }
}

/// azure-sim's own list of the faults that it knows.
const FAULTS_OF_SIM: &str = include_str!("../../../src/sim/src/front/faults.rs");

#[test]
fn every_fault_of_azure_sim_has_its_row() {
    let (_, named) = FAULTS_OF_SIM.split_once("match name.as_str() {").unwrap();
    let (named, _) = named.split_once("other => ").unwrap();
    let arms = named.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" =>"));
    let names: BTreeSet<&str> = arms.map(|(name, _)| name).collect();
    let (_, variants) = FAULTS_OF_SIM.split_once("pub enum Fault {").unwrap();
    let (variants, _) = variants.split_once("\n}").unwrap();
    let variants = variants.lines().filter(|line| line.len() > 5 && line[4..].starts_with(char::is_uppercase)).count();
    // An answer is the one without a name.
    assert_eq!(names.len() + 1, variants, "{names:?}");
    let rows = rows::all();
    let has = |name: &str| rows.iter().any(|row| row.fault == *name || row.fault.get(name).is_some());
    let missing: Vec<&str> = names.into_iter().chain(["status"]).filter(|name| !has(name)).collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_at_every_step() {
    // For work on the table: `FAULTS_ONLY="hang at Patch"`.
    let only = std::env::var("FAULTS_ONLY").unwrap_or_default();
    let cells: Vec<(Fault, Step)> = rows::all()
        .into_iter()
        .flat_map(|fault| Step::ALL.map(|step| (fault.clone(), step)))
        .filter(|(fault, step)| expected::excluded(fault, *step).is_none())
        .filter(|(fault, step)| format!("{} at {step:?}", fault.name).contains(&only))
        .collect();
    let count = cells.len();
    let failed = stage::run(cells, AT_ONCE).await;
    assert!(failed.is_empty(), "{} of {count} cells failed:\n{}", failed.len(), failed.join("\n"));
    if only.is_empty() {
        azureml_promises::held("faults::every_fault_at_every_step", count);
    }
}
