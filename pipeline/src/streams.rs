//! Redis: the transport between the stages.
