//! The page on roles says what the definitions say.

use std::collections::BTreeSet;

use super::stage::{Role, shipped};

const PAGE: &str = "docs/roles.md";

/// A row of the page for each action of each definition, and no other; and the definitions can be created as the page says.
#[test]
fn the_page_has_the_definitions_actions() {
    let page = std::fs::read_to_string(azureml_tests::checkout().join(PAGE)).unwrap();
    for role in Role::ALL {
        let definition = shipped(role);
        let (_, section) = page.split_once(&format!("## The role \"{}\"", definition.name)).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `Microsoft."));
        let told: BTreeSet<String> = rows.map(|row| format!("Microsoft.{}", row.split('`').next().unwrap())).collect();
        let granted: BTreeSet<String> = definition.actions.iter().cloned().collect();
        assert_eq!(told, granted, "{PAGE} and {} differ", role.file().display());
        assert!(granted.iter().all(|action| !action.contains('*')), "{granted:?}");
        assert_eq!(granted.len(), definition.actions.len(), "an action is there twice");
        assert!(definition.not_actions.is_empty() && definition.data_actions.is_empty());
        assert_eq!(definition.assignable_scopes, ["/subscriptions/SUBSCRIPTION_ID"], "the placeholder of the commands");
        let name = role.file().file_name().unwrap().to_string_lossy().into_owned();
        assert!(page.contains(&format!("deploy/azure/roles/{name}")), "the commands name {name}");
        assert!(page.contains(&format!("--role \"{}\"", definition.name)), "the commands assign {name}");
    }
}
