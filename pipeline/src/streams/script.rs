//! The scripts, and calls of them.

use std::borrow::Cow;
use std::sync::LazyLock;

use redis::{Arg, Cmd, RedisWrite};

use crate::domain::EntryId;
use crate::mutant;

/// A script and the hash under which Redis remembers it.
pub(super) struct Script {
    source: LazyLock<Cow<'static, str>>,
    hash: LazyLock<String>,
}

macro_rules! scripts {
    ($($name:ident = $file:literal;)*) => {
        $(pub(super) static $name: Script = Script {
            source: LazyLock::new(|| mutant::edited(include_str!(concat!("lua/", $file)))),
            hash: LazyLock::new(|| redis::Script::new(&$name.source).get_hash().to_owned()),
        };)*
    };
}

scripts! {
    BREAKER = "breaker.lua";
    LEASE = "lease.lua";
    LIMITER = "limiter.lua";
    PARK = "park.lua";
    PRUNE = "prune.lua";
    PUBLISH = "publish.lua";
    REBUILD = "rebuild.lua";
    REMOVE = "remove.lua";
    REQUEUE = "requeue.lua";
    SEED = "seed.lua";
    SETTLE = "settle.lua";
    STATE = "state.lua";
}

/// A call of a script with its arguments.
pub(super) struct Call {
    script: &'static Script,
    /// `EVALSHA <hash> <number of keys> <keys> <arguments>`.
    command: Cmd,
}

impl Script {
    /// A call with these keys; `arguments` and `size` (in bytes) are what will be added.
    pub(super) fn on(&'static self, keys: &[String], arguments: usize, size: usize) -> Call {
        let mut command = Cmd::with_capacity(arguments + keys.len() + 3, size + 160);
        command.arg("EVALSHA").arg(self.hash.as_str()).arg(keys.len()).arg(keys);
        Call { script: self, command }
    }
}

impl Call {
    /// Adds a text, a number or bytes.
    pub(super) fn arg(mut self, value: impl redis::ToRedisArgs) -> Self {
        self.command.arg(value);
        self
    }

    pub(super) fn push(&mut self, value: impl redis::ToRedisArgs) {
        self.command.arg(value);
    }

    /// Adds an id, written straight into the command.
    pub(super) fn push_id(&mut self, id: EntryId) {
        self.command.write_arg_fmt(id);
    }

    pub(super) fn into_parts(self) -> (&'static Script, Cmd) {
        (self.script, self.command)
    }
}

impl Script {
    /// A call again, with the script's text, for a server that does not know it (a restart, a failover or SCRIPT FLUSH).
    /// The server remembers it from then on.
    pub(super) fn with_source(&self, call: &Cmd) -> Cmd {
        let mut command = Cmd::new();
        command.arg("EVAL").arg(self.source.as_ref());
        for argument in call.args_iter().skip(2) {
            if let Arg::Simple(bytes) = argument {
                command.write_arg(bytes);
            }
        }
        command
    }
}
