//! The question that a write asks, on a terminal.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::field::{Field, Shape};

const BOUND: Duration = Duration::from_secs(60);

/// A program on a terminal of its own, and the person before it.
struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl Terminal {
    fn run(mut command: Command) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let theirs = File::options().read(true).write(true).open(OsStr::from_bytes(name.to_bytes())).unwrap();
        let end = || theirs.try_clone().unwrap();
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        // It keeps its ends of the terminal; once they are closed too, reading ends.
        drop((command, theirs));
        let keyboard = File::from(ours);
        let mut output = keyboard.try_clone().unwrap();
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut chunk) {
                if sender.send(chunk[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, keyboard, screen, seen: Vec::new() }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Waits until this stands on the screen.
    fn shows(&mut self, text: &str) {
        while !self.text().contains(text) {
            match self.screen.recv_timeout(BOUND) {
                Ok(chunk) => self.seen.extend(chunk),
                Err(error) => panic!("{error}; so far {:?}", self.text()),
            }
        }
    }

    fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for its end: the exit code, and everything that it showed.
    fn ends(mut self) -> (i32, String) {
        while let Ok(chunk) = self.screen.recv_timeout(BOUND) {
            self.seen.extend(chunk);
        }
        (self.child.wait().unwrap().code().unwrap(), self.text())
    }
}

#[tokio::test]
async fn a_write_shows_count_and_money_and_only_yes_is_yes() {
    let field = Field::new().await;
    let id = field.promotion(Shape { targets: 3, partitions: 1, status: "IN_PROGRESS", started: true }).await;
    let ask = |keys: &str| {
        let mut terminal = Terminal::run(field.command(&["promotion", "stop", &id.to_string(), "--memo", "late"]));
        terminal.shows("stop promotion 1 (SPRING, IN_PROGRESS): 3 targets, 301.50. Go on? Type yes: ");
        terminal.types(keys);
        terminal.ends()
    };
    // The last one is the end of the input, as Ctrl-D says it.
    for keys in ["y\n", "\n", "YES\n", "no\n", "\u{4}"] {
        let (code, screen) = ask(keys);
        assert_eq!(code, 2, "{keys:?}: {screen}");
        assert!(screen.contains("nothing was written"), "{keys:?}: {screen}");
        assert_eq!(field.status(id).await.as_deref(), Some("IN_PROGRESS"), "{keys:?}");
    }
    assert_eq!(field.number("SELECT COUNT(*) FROM payout_audit").await, 0);
    let (code, screen) = ask("yes\n");
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("done: stop promotion"), "{screen}");
    assert_eq!(field.status(id).await.as_deref(), Some("STOPPED"));
    assert_eq!(field.acts("promotion stop").await, [("tester".into(), "late".into(), 3, "301.50".into())]);
}

#[test]
fn every_shell_completes_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let completions = Command::new(env!("CARGO_BIN_EXE_promoctl")).args(["completions", shell]).output().unwrap();
        assert!(completions.status.success(), "{shell}");
        let script = String::from_utf8(completions.stdout).unwrap();
        for command in ["reschedule", "retry-now", "acts"] {
            assert!(script.contains(command), "{shell} does not know {command}");
        }
    }
}
