//! Model check: the operator's own decisions (the look, the planner, what is remembered) among an abstract API server,
//! an abstract Azure, people and trouble, in every order of events within bounds.
//!
//! Real: `reconcile::look`, the planner with the kind's field table, how a list is judged, what status becomes. Abstract:
//! the API server (resourceVersions, finalizers, a watch that lags), Azure (one resource, operations, lists and reads that
//! lag, each by itself), the operator's processes (crashes between any two effects, a second one that takes over), and the
//! clock, which only knows what is younger than the consistency window.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod azure;
mod documents;
mod mutants;
mod operator;
mod rest;
mod setup;
mod told;
mod world;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use crate::documents::{Care, Manifest};
use crate::mutants::Mutant;
use crate::setup::{Deed, Fault, Setup};
use crate::told::told;
use crate::world::Checked;

/// What is walked through by default, each row a model of its own.
fn setups() -> Vec<Setup> {
    let edits = &[Deed::Edit(SCALED_REPORT), Deed::Edit(REPORT)];
    let paused = &[Deed::Edit(PAUSED), Deed::Edit(Manifest::FIRST), Deed::Delete];
    vec![
        Setup { name: "a deed and a trouble", people: PEOPLE, deeds: 1, trouble: TROUBLE, faults: 1, ..PLAIN },
        Setup { name: "edits, drift only reported", start: REPORT, people: edits, deeds: 2, ..PLAIN },
        Setup { name: "paused", start: PAUSED, people: paused, deeds: 2, ..PLAIN },
        Setup { name: "only observed", start: OBSERVED, people: paused, deeds: 1, trouble: OCCUPY, faults: 1, ..PLAIN },
        Setup {
            name: "another's",
            occupied: true,
            people: &[Deed::Delete],
            deeds: 1,
            trouble: GONE,
            faults: 1,
            ..PLAIN
        },
        Setup { name: "made again", people: &[Deed::Delete, Deed::MakeAgain], deeds: 2, ..PLAIN },
        Setup { name: "two replicas", replicas: 2, ..PLAIN },
    ]
}

/// What is walked through when there is time.
fn wide_setups() -> Vec<Setup> {
    let crash = &[Fault::Crash, Fault::LoseAnswer];
    let unsure = &[Fault::LoseAnswer, Fault::FailRead];
    vec![
        Setup { name: "unsure and deleted", people: &[Deed::Delete], deeds: 1, trouble: unsure, faults: 2, ..PLAIN },
        Setup { name: "taken by another", people: PEOPLE, deeds: 1, trouble: TAKEN, faults: 2, ..PLAIN },
        Setup { name: "two deeds", people: PEOPLE, deeds: 2, ..PLAIN },
        Setup { name: "two troubles", trouble: TROUBLE, faults: 2, ..PLAIN },
        Setup { name: "two replicas and a trouble", replicas: 2, trouble: crash, faults: 1, ..PLAIN },
        Setup { name: "two replicas and a deed", replicas: 2, people: PEOPLE, deeds: 1, ..PLAIN },
    ]
}

/// Each mutant, with a setup in which it has to be found out.
fn mutants() -> Vec<(Mutant, Setup)> {
    let trouble = |trouble| Setup { name: "trouble", trouble, faults: 1, ..PLAIN };
    let two = Setup { name: "two replicas", replicas: 2, ..PLAIN };
    let edit = &[Deed::Edit(SCALED)];
    let taken = Setup { name: "taken", people: edit, deeds: 1, trouble: TAKEN, faults: 2, ..PLAIN };
    let edited = Setup { name: "edited", people: edit, deeds: 1, ..PLAIN };
    vec![
        (Mutant::NoWindow, trouble(&[Fault::LoseAnswer])),
        (Mutant::NoIntent, trouble(&[Fault::Crash])),
        (Mutant::ReleaseOnAbsent, Setup { name: "people", people: &[Deed::Delete], deeds: 1, ..PLAIN }),
        (Mutant::NoConflicts, two),
        (Mutant::UncertainIsRefused, trouble(&[Fault::LoseAnswer])),
        (Mutant::NoFreshRead, taken),
        (Mutant::EverybodysIsOurs, Setup { name: "another's", occupied: true, ..PLAIN }),
        (Mutant::PausedOrNot, Setup { name: "paused", start: PAUSED, ..PLAIN }),
        (Mutant::OperationsNeverEnd, trouble(GONE)),
        (Mutant::EditsSwallowed, edited.clone()),
        (Mutant::ContradictionsRest, edited.clone()),
        (Mutant::WatchWakesNobody, edited),
        (Mutant::ListWakesNobody, trouble(GONE)),
    ]
}

const PLAIN: Setup = Setup {
    name: "plain",
    start: Manifest::FIRST,
    people: &[],
    deeds: 0,
    trouble: &[],
    faults: 0,
    replicas: 1,
    occupied: false,
};
const SCALED: Manifest = Manifest { nodes: 8, ..Manifest::FIRST };
const TAGGED: Manifest = Manifest { team: 2, ..Manifest::FIRST };
const PAUSED: Manifest = Manifest { care: Care::Paused, ..SCALED };
const OBSERVED: Manifest = Manifest { care: Care::Observe, ..Manifest::FIRST };
const REPORT: Manifest = Manifest { care: Care::ReportDrift, ..Manifest::FIRST };
const SCALED_REPORT: Manifest = Manifest { nodes: 8, ..REPORT };
const OCCUPY: &[Fault] = &[Fault::Occupy];
const TAKEN: &[Fault] = &[Fault::DeleteByHand, Fault::Occupy];
const GONE: &[Fault] = &[Fault::DeleteByHand];
const PEOPLE: &[Deed] = &[Deed::Edit(SCALED), Deed::Edit(TAGGED), Deed::Delete];
const TROUBLE: &[Fault] = &[
    Fault::Crash,
    Fault::LoseAnswer,
    Fault::LoseRequest,
    Fault::Refuse,
    Fault::FailWork,
    Fault::FailRead,
    Fault::ChangeByHand,
    Fault::DeleteByHand,
    Fault::Occupy,
];

/// Walks through a model. The states that it has, and what it finds wrong.
fn walk(setup: Setup, mutant: Mutant) -> (usize, Option<String>) {
    let name = setup.name;
    let began = Instant::now();
    let checker = Checked::new(setup, mutant).checker().threads(2).finish_when(HasDiscoveries::Any).spawn_bfs().join();
    let states = checker.unique_state_count();
    println!("{name}, {mutant:?}: {states} states, depth {}, {:?}", checker.max_depth(), began.elapsed());
    let found = checker.discoveries().into_iter().next();
    (states, found.map(|(property, path)| told(checker.model(), property, path)))
}

/// Walks through models in which nothing may be wrong.
fn hold(setups: Vec<Setup>) -> usize {
    let (states, wrong): (Vec<_>, Vec<_>) = setups.into_iter().map(|setup| walk(setup, Mutant::None)).unzip();
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    states.iter().sum()
}

#[test]
fn promises_hold_in_every_order() {
    let states = hold(setups());
    println!("{states} states");
    azureml_promises::held("model::promises_hold_in_every_order", states);
}

#[test]
#[ignore = "takes half an hour: `make model`, or `make model PART=<part of a name>`"]
fn promises_hold_in_every_order_of_more() {
    let only = std::env::var("AZUREML_MODEL").unwrap_or_default();
    let setups = wide_setups().into_iter().filter(|setup| setup.name.contains(&only)).collect();
    println!("{} states", hold(setups));
}

#[test]
fn broken_operators_are_found_out() {
    let mutants = mutants();
    let count = mutants.len();
    for (mutant, setup) in mutants {
        let (_, found) = walk(setup, mutant);
        let found = found.unwrap_or_else(|| panic!("{mutant:?} isn't found out"));
        println!("{}", found.lines().last().unwrap_or_default());
    }
    azureml_promises::held("model::broken_operators_are_found_out", count);
}
