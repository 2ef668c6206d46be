//! VM sizes: what each one has, and which ones managed compute takes.

pub mod check;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::nearest::nearest;
use crate::{Evidence, Priority, Use};

pub use check::{Finding, Offer, Offers, Question, Region, Verdict, check};

/// A VM size. Figures: Microsoft.Compute's list of resource SKUs over all regions, 2026-11; those that it no longer has,
/// from its state of 2024-12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Its name, as Azure spells it.
    pub name: &'static str,
    /// The quota family that its cores count in, as Azure spells it; some have spaces.
    pub family: &'static str,
    /// Cores.
    pub vcpus: u32,
    /// Memory, MiB.
    pub memory_mib: u32,
    /// Accelerators; 0 also where a part of one is given.
    pub gpus: u32,
    /// What its processor understands.
    pub arch: Arch,
    /// Whether Azure still lists it.
    pub standing: Standing,
}

/// What a processor understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

/// Whether Azure still lists a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It did in 2026-11.
    Listed,
    /// It did in 2024-12 or before, and doesn't any more.
    Gone,
}

const FILE: &str = include_str!("../data/sizes.tsv");

struct Table {
    sizes: Vec<Size>,
    /// Index by lower-cased name.
    index: HashMap<String, usize>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    // A line that isn't understood would be left out; a test holds that there is none.
    let sizes: Vec<Size> = FILE.lines().skip(1).filter_map(parse).collect();
    let index = sizes.iter().enumerate().map(|(index, size)| (size.name.to_ascii_lowercase(), index)).collect();
    Table { sizes, index }
});

fn parse(line: &'static str) -> Option<Size> {
    let fields: Vec<&'static str> = line.split('\t').collect();
    let [name, family, vcpus, memory, gpus, arch, standing] = fields[..] else { return None };
    Some(Size {
        name,
        family,
        vcpus: vcpus.parse().ok()?,
        memory_mib: memory.parse().ok()?,
        gpus: gpus.parse().ok()?,
        arch: match arch {
            "amd64" => Arch::Amd64,
            "arm64" => Arch::Arm64,
            _ => return None,
        },
        standing: match standing {
            "current" => Standing::Listed,
            "retired-since-2024-12" => Standing::Gone,
            _ => return None,
        },
    })
}

/// All sizes, by name.
pub fn all() -> &'static [Size] {
    &TABLE.sizes
}

/// The size of a name, without regard to case.
pub fn find(name: &str) -> Option<&'static Size> {
    TABLE.index.get(&name.to_ascii_lowercase()).and_then(|index| TABLE.sizes.get(*index))
}

/// The three names nearest to a mistyped one.
pub fn near(name: &str) -> Vec<&'static str> {
    nearest(name, TABLE.sizes.iter().map(|size| size.name), 3)
}

/// Why managed compute doesn't take a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// What is in the way, in words.
    pub why: &'static str,
    /// How sure that is.
    pub evidence: Evidence,
}

impl Size {
    /// Why a size isn't one for this use, where that is known. What a region's own list says of
    /// `supportedComputeTypes` and `lowPriorityCapable` wins over it.
    ///
    /// Sources: the table of supported series in "What are compute targets in Azure Machine Learning?" (FX: clusters
    /// only); a cluster of Standard_B2s that failed with "is not a supported VM size" though it was listed; Azure's
    /// Spot documentation, which leaves out B and promotional sizes.
    pub fn unfit(&self, for_use: Use) -> Option<Unfit> {
        let unfit = |why, evidence| Some(Unfit { why, evidence });
        let family = self.family.to_ascii_lowercase();
        let burstable = family.starts_with("standardb");
        let promotional = family.ends_with("promofamily");
        match for_use {
            _ if self.arch == Arch::Arm64 => {
                unfit("Azure Machine Learning's images are for x86-64 and it has an Arm processor", Evidence::Assumed)
            }
            Use::Cluster(_) if burstable => {
                unfit("Azure Machine Learning refuses clusters of burstable sizes", Evidence::Recorded)
            }
            Use::Cluster(Priority::Low) if promotional => {
                unfit("promotional sizes can't be had at low priority", Evidence::Assumed)
            }
            Use::Instance if family == "standardfxmdvsfamily" => {
                unfit("the FX series is for clusters only", Evidence::Documented)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    #[test]
    fn every_line_is_a_size() {
        let lines = FILE.lines().count() - 1;
        for line in FILE.lines().skip(1) {
            assert!(parse(line).is_some(), "{line:?}");
        }
        assert_eq!((all().len(), TABLE.index.len()), (lines, lines), "a name stands there twice");
        assert!(lines > 1400, "{lines}");
        for size in all() {
            let sound = size.vcpus > 0 && size.name.starts_with(['S', 'B']) && !size.name.contains(' ');
            assert!(sound && size.vcpus <= 2000 && size.gpus <= 16 && !size.family.is_empty(), "{size:?}");
        }
    }

    #[test]
    fn a_line_that_is_none() {
        for line in [
            "",
            "Standard_X\tf\t1\t1\t0\tamd64",
            "Standard_X\tf\tone\t1\t0\tamd64\tcurrent",
            "Standard_X\tf\t1\t1\t0\tx86\tcurrent",
            "Standard_X\tf\t1\t1\t0\tamd64\tretired",
        ] {
            assert_eq!(parse(line), None, "{line:?}");
        }
    }

    /// Compares with `azure/vm-sizes.tsv` below the folder that AZUREML_SHARED names (default: `../shared` from the
    /// workspace root), where it is at hand.
    #[test]
    fn the_table_is_the_list() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let folder = std::env::var_os("AZUREML_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
        let path = root.join(folder).join("azure/vm-sizes.tsv");
        let Ok(list) = std::fs::read_to_string(&path) else {
            println!("skipped: there is no {}", path.display());
            return;
        };
        let (ours, theirs): (Vec<&str>, Vec<&str>) = (FILE.lines().collect(), list.lines().collect());
        assert_eq!(ours, theirs);
    }

    #[test]
    fn found_in_any_case() {
        let size = find("STANDARD_nc24ADS_a100_V4").unwrap();
        let expected = Size {
            name: "Standard_NC24ads_A100_v4",
            family: "StandardNCADSA100v4Family",
            vcpus: 24,
            memory_mib: 225_280,
            gpus: 1,
            arch: Arch::Amd64,
            standing: Standing::Listed,
        };
        assert_eq!(size, &expected);
        assert_eq!(find("Standard_NC6").unwrap().standing, Standing::Gone);
        assert_eq!(find("Standard_DS3v2"), None);
        assert_eq!(near("standard_ds3v2").first(), Some(&"Standard_DS3_v2"));
        assert!(near("elephant").is_empty());
    }

    #[test]
    fn what_it_is_for() {
        let (dedicated, low) = (Use::Cluster(Priority::Dedicated), Use::Cluster(Priority::Low));
        let evidence = |name: &str, for_use| find(name).unwrap().unfit(for_use).map(|unfit| unfit.evidence);
        for (name, cluster, cheap, instance) in [
            ("Standard_DS3_v2", None, None, None),
            ("Standard_B2s", Some(Evidence::Recorded), Some(Evidence::Recorded), None),
            ("Standard_FX4mds", None, None, Some(Evidence::Documented)),
            ("Standard_D2ps_v5", Some(Evidence::Assumed), Some(Evidence::Assumed), Some(Evidence::Assumed)),
            ("Standard_D2_v2_Promo", None, Some(Evidence::Assumed), None),
        ] {
            let found = [dedicated, low, Use::Instance].map(|for_use| evidence(name, for_use));
            assert_eq!(found, [cluster, cheap, instance], "{name}");
        }
    }
}
