//! The file, from bytes to targets: records, the header's columns, the cells of a row.

pub mod cell;
pub mod encoding;
pub mod header;
pub mod record;
pub mod row;
pub mod source;
