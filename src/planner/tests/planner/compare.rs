//! When two values on the wire mean the same.

use azureml_api::fields::Compare;
use azureml_planner::diff::equal;
use serde_json::{Value, json};

#[test]
fn values_that_mean_the_same() {
    let user = |ids: &[&str]| {
        let ids: serde_json::Map<String, Value> =
            ids.iter().map(|id| ((*id).to_owned(), json!({"clientId": "c"}))).collect();
        json!({"type": "UserAssigned", "userAssignedIdentities": ids})
    };
    let rows = [
        (Compare::Exact, json!(1), json!(1), true),
        (Compare::Exact, json!("a"), json!("A"), false),
        (Compare::Exact, json!(true), json!("true"), false),
        (Compare::IgnoreCase, json!("Standard_DS3_v2"), json!("STANDARD_DS3_V2"), true),
        (Compare::IgnoreCase, json!("Standard_DS3_v2"), json!("Standard_DS3"), false),
        (Compare::IgnoreCase, Value::Null, json!("a"), false),
        (Compare::IgnoreCase, Value::Null, Value::Null, true),
        (Compare::Location, json!("westeurope"), json!("West Europe"), true),
        (Compare::Location, json!(" WEST\teurope "), json!("westeurope"), true),
        (Compare::Location, json!("westeurope"), json!("northeurope"), false),
        (Compare::Location, Value::Null, json!("westeurope"), false),
        (Compare::Duration, json!("PT120S"), json!("PT2M"), true),
        (Compare::Duration, json!("PT1H30M"), json!("PT5400S"), true),
        (Compare::Duration, json!("P1D"), json!("PT24H"), true),
        (Compare::Duration, json!("PT120.5S"), json!("PT2M"), true),
        (Compare::Duration, json!("PT120S"), json!("PT121S"), false),
        (Compare::Duration, json!("soon"), json!("soon"), true),
        (Compare::Duration, json!("soon"), json!("PT2M"), false),
        (
            Compare::Identity,
            json!({"type": "SystemAssigned"}),
            json!({"type": "systemassigned", "principalId": "p", "tenantId": "t"}),
            true,
        ),
        (Compare::Identity, json!({"type": "None"}), Value::Null, true),
        (Compare::Identity, json!({"type": "None"}), json!({"type": "SystemAssigned"}), false),
        (Compare::Identity, user(&["/a", "/b"]), user(&["/B", "/A"]), true),
        (Compare::Identity, user(&["/a", "/b"]), user(&["/a"]), false),
        (Compare::Identity, user(&["/a"]), json!({"type": "SystemAssigned"}), false),
    ];
    for (compare, a, b, expected) in rows {
        assert_eq!(equal(compare, &a, &b), expected, "{compare:?} {a} {b}");
        assert_eq!(equal(compare, &b, &a), expected, "{compare:?} {b} {a}");
    }
}
