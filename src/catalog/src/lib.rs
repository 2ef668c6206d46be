//! Facts about Azure Machine Learning that hold without asking Azure: names, VM sizes and their series, what quota means,
//! time zones. Each fact names its source. No I/O.
//!
//! What Azure itself says of a region wins over what is written here.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod names;
pub mod nearest;
pub mod quota;
pub mod series;
pub mod size;
pub mod zones;

/// How sure a fact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// Microsoft's documentation says so.
    Documented,
    /// Azure has been seen to do so.
    Recorded,
    /// It is likely.
    Assumed,
}

/// What follows from a finding. The worse is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing.
    Fine,
    /// Somebody should know; Azure decides.
    Warn,
    /// Azure is certain to refuse it, so it isn't tried.
    Refuse,
}

/// What uses a VM size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Use {
    /// A compute cluster.
    Cluster(Priority),
    /// A compute instance.
    Instance,
}

/// How the nodes of a cluster are paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Priority {
    /// They stay.
    Dedicated,
    /// Cheaper; Azure takes them away when it needs them.
    Low,
}

impl Use {
    /// What it is called in sentences.
    pub fn words(self) -> &'static str {
        match self {
            Self::Cluster(Priority::Dedicated) => "a compute cluster",
            Self::Cluster(Priority::Low) => "a low-priority compute cluster",
            Self::Instance => "a compute instance",
        }
    }

    /// Its `computeType` on the wire.
    pub fn compute_type(self) -> &'static str {
        match self {
            Self::Cluster(_) => "AmlCompute",
            Self::Instance => "ComputeInstance",
        }
    }
}

/// Names in a row: `a`, `a and b`, `a, b and c`.
pub(crate) fn listed(names: &[impl AsRef<str>], last: &str) -> String {
    match names {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [rest @ .., end] => {
            let rest: Vec<&str> = rest.iter().map(AsRef::as_ref).collect();
            format!("{} {last} {}", rest.join(", "), end.as_ref())
        }
    }
}
