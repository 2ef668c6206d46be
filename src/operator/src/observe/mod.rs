//! Observe: what Azure has, through sources that all objects of a workspace share.

pub mod facts;
pub mod gaps;
pub mod live;
pub mod source;
