//! What is said of a size, as a table.

use jiff::civil::date;

use super::*;

const CLUSTER: Use = Use::Cluster(Priority::Dedicated);
const LOW: Use = Use::Cluster(Priority::Low);

fn named(name: &str) -> Offer {
    Offer { name: name.to_owned(), ..Offer::default() }
}

/// Two regions with lists, one that may not be read, one whose list is empty.
fn offers() -> Offers {
    let both = ["AmlCompute".to_owned(), "ComputeInstance".to_owned()];
    let west = ["STANDARD_DS3_V2", "Standard_NC24ads_A100_v4", "Standard_NC6", "Standard_D2ps_v5"].map(named);
    let more = [
        Offer { compute_types: both[..1].to_vec(), ..named("Standard_E4s_v3") },
        Offer { compute_types: both.to_vec(), low_priority: Some(false), ..named("Standard_E8s_v3") },
        Offer { compute_types: both.to_vec(), low_priority: Some(true), ..named("Standard_B4ms") },
        Offer { compute_types: both.to_vec(), low_priority: Some(true), ..named("Standard_D4ps_v5") },
    ];
    Offers::new()
        .with("westeurope", Region::Listed(west.into_iter().chain(more).collect()))
        .with("East US", Region::Listed(vec![named("Standard_F4s_v2"), named("Standard_New_v9")]))
        .with("northeurope", Region::Unknown(Some("Microsoft.MachineLearningServices/locations/vmsizes/read".into())))
        .with("uksouth", Region::Listed(vec![]))
}

fn ask(size: &str, region: &str, for_use: Use, year: i16) -> Verdict {
    check(&Question { size, for_use, region, offers: &offers(), family_limit: None, day: date(year, 11, 24) })
}

#[test]
fn what_is_said() {
    use Severity::{Fine, Refuse, Warn};
    for (size, region, for_use, severity, available, message) in [
        ("Standard_E4s_v3", "West Europe", CLUSTER, Fine, Some(true), "West Europe offers the VM size Standard_E4s_v3"),
        (
            "Standard_ds3_v2",
            "westeurope",
            CLUSTER,
            Warn,
            Some(true),
            "Azure retires the VM size Standard_ds3_v2 on 2028-05-01: move to the series Dsv5, Ddsv5, Dasv5 or later \
             before",
        ),
        (
            "Standard_DS3v2",
            "westeurope",
            CLUSTER,
            Refuse,
            Some(false),
            "there is no VM size Standard_DS3v2 that is known: did you mean STANDARD_DS3_V2, Standard_D2ps_v5 or \
             Standard_D4ps_v5?",
        ),
        (
            "elephant",
            "westeurope",
            CLUSTER,
            Refuse,
            Some(false),
            "there is no VM size elephant that is known: correct spec.vmSize",
        ),
        (
            "Standard_F4s_v2",
            "westeurope",
            CLUSTER,
            Refuse,
            Some(false),
            "westeurope doesn't offer the VM size Standard_F4s_v2 to this subscription: eastus does; choose that \
             region or another size (the nearest: Standard_E4s_v3, STANDARD_DS3_V2, Standard_D4ps_v5)",
        ),
        // An instance is where its workspace is.
        (
            "Standard_F4s_v2",
            "westeurope",
            Use::Instance,
            Refuse,
            Some(false),
            "westeurope doesn't offer the VM size Standard_F4s_v2 to this subscription: eastus would; choose another \
             size (the nearest: Standard_E4s_v3, STANDARD_DS3_V2, Standard_D4ps_v5)",
        ),
        // Newer than our table: the other region's list knows it.
        (
            "Standard_New_v9",
            "westeurope",
            CLUSTER,
            Refuse,
            Some(false),
            "westeurope doesn't offer the VM size Standard_New_v9 to this subscription: eastus does; choose that \
             region or another size (the nearest: STANDARD_DS3_V2, Standard_E4s_v3, Standard_E8s_v3)",
        ),
        (
            "Standard_M64s",
            "eastus",
            CLUSTER,
            Refuse,
            Some(false),
            "eastus doesn't offer the VM size Standard_M64s to this subscription: choose another size (the nearest: \
             Standard_F4s_v2, Standard_New_v9)",
        ),
        (
            "Standard_NC6",
            "eastus",
            CLUSTER,
            Refuse,
            Some(false),
            "eastus doesn't offer the VM size Standard_NC6 to this subscription: westeurope does; choose that region \
             or another size (the nearest: Standard_New_v9, Standard_F4s_v2)",
        ),
        // What the region lists wins over our dates.
        (
            "Standard_NC6",
            "westeurope",
            CLUSTER,
            Warn,
            None,
            "Azure retired the VM size Standard_NC6 on 2023-08-31, though the region may still list it: use the \
             series NCasT4_v3",
        ),
        (
            "Standard_NC6s_v3",
            "westeurope",
            CLUSTER,
            Refuse,
            Some(false),
            "Azure retired the VM size Standard_NC6s_v3 on 2025-09-30: use the series NC A100 v4",
        ),
        (
            "Standard_H16",
            "westeurope",
            CLUSTER,
            Refuse,
            Some(false),
            "Azure retired the VM size Standard_H16 by the end of 2024: use a size that is current",
        ),
        (
            "Standard_E4s_v3",
            "westeurope",
            Use::Instance,
            Refuse,
            Some(false),
            "the VM size Standard_E4s_v3 isn't for a compute instance (Azure lists it for AmlCompute only): choose \
             another size",
        ),
        (
            "Standard_E8s_v3",
            "westeurope",
            LOW,
            Refuse,
            Some(false),
            "the VM size Standard_E8s_v3 can't be had at low priority (Azure lists it as dedicated only): set \
             spec.vmPriority to Dedicated or choose another size",
        ),
        // Listed, and refused all the same: seen, but Azure decides.
        (
            "Standard_B4ms",
            "westeurope",
            CLUSTER,
            Warn,
            None,
            "the VM size Standard_B4ms isn't for a compute cluster (Azure Machine Learning refuses clusters of \
             burstable sizes): choose another size",
        ),
        // Azure says what it is for, which is more than we assume.
        ("Standard_D4ps_v5", "westeurope", CLUSTER, Fine, Some(true), "westeurope offers the VM size Standard_D4ps_v5"),
        (
            "Standard_D2ps_v5",
            "westeurope",
            CLUSTER,
            Warn,
            None,
            "the VM size Standard_D2ps_v5 isn't for a compute cluster (Azure Machine Learning's images are for x86-64 \
             and it has an Arm processor): choose another size",
        ),
        // Without the region's list nothing is certain.
        (
            "Standard_E4s_v3",
            "northeurope",
            CLUSTER,
            Warn,
            None,
            "whether northeurope offers the VM size Standard_E4s_v3 isn't known: grant \
             Microsoft.MachineLearningServices/locations/vmsizes/read on the subscription to have it checked before \
             anything is created",
        ),
        (
            "Standard_E4s_v3",
            "uksouth",
            CLUSTER,
            Warn,
            None,
            "whether uksouth offers the VM size Standard_E4s_v3 isn't known: its list couldn't be read yet",
        ),
        (
            "Standard_E4s_v3",
            "nowhere",
            CLUSTER,
            Warn,
            None,
            "whether nowhere offers the VM size Standard_E4s_v3 isn't known: its list couldn't be read yet",
        ),
        (
            "Standard_DS3v2",
            "nowhere",
            CLUSTER,
            Warn,
            None,
            "there is no VM size Standard_DS3v2 that is known: did you mean Standard_DS3_v2, Standard_D13_v2 or \
             Standard_D1_v2?",
        ),
        (
            "Standard_New_v9",
            "nowhere",
            CLUSTER,
            Warn,
            None,
            "whether nowhere offers the VM size Standard_New_v9 isn't known: its list couldn't be read yet",
        ),
        (
            "Standard_NC6s_v3",
            "nowhere",
            CLUSTER,
            Warn,
            None,
            "Azure retired the VM size Standard_NC6s_v3 on 2025-09-30, though the region may still list it: use the \
             series NC A100 v4",
        ),
    ] {
        let verdict = ask(size, region, for_use, 2026);
        let found = (verdict.severity, verdict.available(), verdict.message());
        assert_eq!(found, (severity, available, message.to_owned()), "{size} in {region}");
    }
}

#[test]
fn the_twelve_series_then_and_now() {
    use Severity::{Refuse, Warn};
    let retired = |verdict: &Verdict| matches!(verdict.finding, Finding::Retired { .. });
    for (size, ask_for_quota, gone) in [
        ("Standard_D3", false, false),
        ("Standard_D3_v2", false, false),
        ("Standard_DS3_v2", false, false),
        ("Standard_F4s_v2", false, false),
        ("Standard_M64s", true, false),
        ("Standard_NC6", false, true),
        ("Standard_NC6s_v2", true, true),
        ("Standard_NC6s_v3", true, true),
        ("Standard_ND6s", true, true),
        ("Standard_ND40rs_v2", true, false),
        ("Standard_NV6", false, true),
        ("Standard_NV12s_v3", true, true),
    ] {
        let listed = Offers::new().with("r", Region::Listed(vec![named(size)]));
        let other = Offers::new().with("r", Region::Listed(vec![named("Standard_E4s_v3")]));
        let of = |offers: &Offers, day| {
            let question = Question { size, for_use: CLUSTER, region: "r", offers, family_limit: None, day };
            (check(&question), findings(&question))
        };
        let (then, now) = (date(2020, 3, 30), date(2026, 11, 24));
        // In 2020 the region lists it; nothing is in the way, but that some have to be asked for.
        let (verdict, all) = of(&listed, then);
        let restricted = all.iter().any(|(finding, _)| matches!(finding, Finding::Restricted { .. }));
        assert_eq!((verdict.available(), restricted), (Some(true), ask_for_quota), "{size}");
        assert_eq!(all.len(), usize::from(ask_for_quota), "{size}: {all:?}");
        // Today it is gone, and the region doesn't list it.
        let (verdict, _) = of(&other, now);
        assert_eq!((verdict.severity, retired(&verdict)), (Refuse, gone), "{size}");
        // Or it does list it still: then the region is right.
        let (verdict, _) = of(&listed, now);
        assert_eq!((verdict.severity, retired(&verdict)), (Warn, gone), "{size}");
    }
}

#[test]
fn who_has_quota_need_not_ask() {
    let offers = Offers::new().with("r", Region::Listed(vec![named("Standard_M64s")]));
    for (family_limit, expected) in [(None, true), (Some(0), true), (Some(64), false)] {
        let day = date(2026, 11, 24);
        let question =
            Question { size: "Standard_M64s", for_use: CLUSTER, region: "r", offers: &offers, family_limit, day };
        assert_eq!(matches!(check(&question).finding, Finding::Restricted { .. }), expected, "{family_limit:?}");
    }
}

#[test]
fn of_years_before_the_table_nothing_is_said() {
    assert_eq!(ask("Standard_H16", "nowhere", CLUSTER, 2020).finding, Finding::Unknown { action: None });
    assert_eq!(
        ask("Standard_H16", "nowhere", CLUSTER, 2025).finding,
        Finding::Retired { since: None, successor: None }
    );
}
