//! VM sizes: a table of common ones, and a region's choice of them.

use crate::world::{Region, Size, SizeSpec};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Name, family, cores, memory in MiB, accelerators. Azure's published figures of 2026-11.
const TABLE: &[(&str, &str, i64, i64, i64)] = &[
    ("Standard_D1_v2", "standardDv2Family", 1, 3584, 0),
    ("Standard_D2_v2", "standardDv2Family", 2, 7168, 0),
    ("Standard_D3_v2", "standardDv2Family", 4, 14336, 0),
    ("Standard_D4_v2", "standardDv2Family", 8, 28672, 0),
    ("Standard_D11_v2", "standardDv2Family", 2, 14336, 0),
    ("Standard_D12_v2", "standardDv2Family", 4, 28672, 0),
    ("Standard_D13_v2", "standardDv2Family", 8, 57344, 0),
    ("Standard_D14_v2", "standardDv2Family", 16, 114688, 0),
    ("Standard_DS1_v2", "standardDSv2Family", 1, 3584, 0),
    ("Standard_DS2_v2", "standardDSv2Family", 2, 7168, 0),
    ("Standard_DS3_v2", "standardDSv2Family", 4, 14336, 0),
    ("Standard_DS4_v2", "standardDSv2Family", 8, 28672, 0),
    ("Standard_DS5_v2", "standardDSv2Family", 16, 57344, 0),
    ("Standard_DS11_v2", "standardDSv2Family", 2, 14336, 0),
    ("Standard_DS12_v2", "standardDSv2Family", 4, 28672, 0),
    ("Standard_DS13_v2", "standardDSv2Family", 8, 57344, 0),
    ("Standard_DS14_v2", "standardDSv2Family", 16, 114688, 0),
    ("Standard_D2s_v3", "standardDSv3Family", 2, 8192, 0),
    ("Standard_D4s_v3", "standardDSv3Family", 4, 16384, 0),
    ("Standard_D8s_v3", "standardDSv3Family", 8, 32768, 0),
    ("Standard_D16s_v3", "standardDSv3Family", 16, 65536, 0),
    ("Standard_E4s_v3", "standardESv3Family", 4, 32768, 0),
    ("Standard_E8s_v3", "standardESv3Family", 8, 65536, 0),
    ("Standard_F2s_v2", "standardFSv2Family", 2, 4096, 0),
    ("Standard_F4s_v2", "standardFSv2Family", 4, 8192, 0),
    ("Standard_F8s_v2", "standardFSv2Family", 8, 16384, 0),
    ("Standard_F16s_v2", "standardFSv2Family", 16, 32768, 0),
    ("Standard_F32s_v2", "standardFSv2Family", 32, 65536, 0),
    ("Standard_B2s", "standardBSFamily", 2, 4096, 0),
    ("Standard_B4ms", "standardBSFamily", 4, 16384, 0),
    ("Standard_NC6s_v3", "standardNCSv3Family", 6, 114688, 1),
    ("Standard_NC4as_T4_v3", "Standard NCASv3_T4 Family", 4, 28672, 1),
    ("Standard_NC24ads_A100_v4", "StandardNCADSA100v4Family", 24, 225280, 1),
    ("Standard_NC48ads_A100_v4", "StandardNCADSA100v4Family", 48, 450560, 2),
    ("Standard_NC96ads_A100_v4", "StandardNCADSA100v4Family", 96, 901120, 4),
    ("Standard_ND96asr_v4", "Standard NDASv4_A100 Family", 96, 921600, 8),
    ("Standard_ND96isr_H100_v5", "standardNDSH100v5Family", 96, 1945600, 8),
    ("Standard_NV12s_v3", "standardNVSv3Family", 12, 114688, 1),
    ("Standard_NV36ads_A10_v5", "StandardNVADSA10v5Family", 36, 450560, 1),
];

/// The sizes that a region offers, by lower-cased name.
///
/// # Errors
/// A name that the table doesn't have.
pub fn of(region: &Region) -> Result<BTreeMap<String, Size>, String> {
    let all = || TABLE.iter().map(|row| Ok(size(row))).collect::<Vec<_>>();
    let listed = match &region.sizes {
        None => all(),
        Some(list) => list
            .iter()
            .map(|spec| match spec {
                SizeSpec::Full(size) => Ok(size.clone()),
                SizeSpec::Name(name) => {
                    TABLE.iter().find(|r| r.0.eq_ignore_ascii_case(name)).map(size).ok_or_else(|| {
                        format!(
                            "region {}: size {name} is not in the built-in table; write it out with its figures",
                            region.name
                        )
                    })
                }
            })
            .collect(),
    };
    listed.into_iter().map(|s: Result<Size, String>| s.map(|s| (s.name.to_ascii_lowercase(), s))).collect()
}

fn size(row: &(&str, &str, i64, i64, i64)) -> Size {
    // Burstable sizes appear in the listing, and the service refuses clusters of them.
    let burstable = row.1 == "standardBSFamily";
    Size {
        name: row.0.into(),
        family: row.1.into(),
        vcpus: row.2,
        memory_mb: row.3,
        gpus: row.4,
        low_priority: !burstable,
        clusters: !burstable,
        price_per_hour: None,
        low_price_per_hour: None,
    }
}

/// A family's short name for messages and labels: `DSv2` for `standardDSv2Family`.
pub fn short_family(family: &str) -> &str {
    let lower = family.to_ascii_lowercase();
    let start = if lower.starts_with("standard") { "standard".len() } else { 0 };
    let end = if lower.ends_with("family") { family.len() - "family".len() } else { family.len() };
    family.get(start..end).unwrap_or(family).trim()
}

/// An item of `vmSizes`.
pub fn listed(size: &Size) -> Value {
    let tiers = [("Standard", size.price_per_hour), ("LowPriority", size.low_price_per_hour)];
    let price = |(tier, price): (&str, Option<f64>)| {
        price.map(|price| json!({"retailPrice": price, "osType": "Linux", "vmTier": tier}))
    };
    let values: Vec<Value> = tiers.into_iter().filter_map(price).collect();
    let prices =
        (!values.is_empty()).then(|| json!({"billingCurrency": "USD", "unitOfMeasure": "OneHour", "values": values}));
    let premium = size.name.trim_start_matches("Standard_").contains('s') || size.gpus > 0;
    json!({
        "name": size.name, "family": size.family, "vCPUs": size.vcpus, "gpus": size.gpus,
        "osVhdSizeMB": 1_047_552, "maxResourceVolumeMB": size.memory_mb * 2,
        "memoryGB": size.memory_mb as f64 / 1024.0, "lowPriorityCapable": size.low_priority,
        "premiumIO": premium, "estimatedVMPrices": prices,
        "supportedComputeTypes": ["AmlCompute", "ComputeInstance"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_in_words() {
        for (family, short) in [
            ("standardDSv2Family", "DSv2"),
            ("StandardNCADSA100v4Family", "NCADSA100v4"),
            ("Standard NCASv3_T4 Family", "NCASv3_T4"),
        ] {
            assert_eq!(short_family(family), short);
        }
    }

    #[test]
    fn a_region_without_a_list_has_the_whole_table() {
        let region: Region = serde_yaml_ng::from_str("name: r").unwrap();
        assert_eq!(of(&region).unwrap().len(), TABLE.len());
        let region: Region = serde_yaml_ng::from_str("{name: r, sizes: [Standard_X]}").unwrap();
        assert!(of(&region).unwrap_err().contains("Standard_X"));
    }
}
