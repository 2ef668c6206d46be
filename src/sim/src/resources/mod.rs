//! What Azure Resource Manager itself serves: subscriptions, providers, resource groups, operations.

pub mod groups;
pub mod operations;
pub mod top;
