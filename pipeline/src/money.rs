//! The external `money` service.
