//! The report, printed.

pub mod json;
mod style;
pub mod text;

pub use style::Style;
