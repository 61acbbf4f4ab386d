//! MySQL: the truth.
