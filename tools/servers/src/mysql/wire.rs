//! The few packets of the MySQL protocol that set-up needs: log in as root without a password on the unix socket, run
//! a statement, learn whether it worked. So tests need neither a client program nor an async driver here, and the
//! check that a server is ready is the real thing.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A statement of set-up takes milliseconds; this bounds one against a paused server.
const BOUND: Duration = Duration::from_secs(30);

// CLIENT_LONG_PASSWORD, CLIENT_PROTOCOL_41, CLIENT_SECURE_CONNECTION, CLIENT_PLUGIN_AUTH
const CAPABILITIES: u32 = 0x1 | 0x200 | 0x8000 | 0x8_0000;
const MAX_PACKET: u32 = 16 << 20;
const UTF8MB4: u8 = 45;
const COM_QUERY: u8 = 3;

const OK: u8 = 0x00;
const MORE_DATA: u8 = 0x01;
const EOF: u8 = 0xfe;
const ERR: u8 = 0xff;

/// A connection of root.
pub(super) struct Session {
    stream: UnixStream,
    sequence: u8,
}

impl Session {
    /// Connects and logs in.
    pub(super) fn open(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).with_context(|| format!("cannot connect to {}", socket.display()))?;
        stream.set_read_timeout(Some(BOUND))?;
        stream.set_write_timeout(Some(BOUND))?;
        let mut session = Self { stream, sequence: 0 };
        let greeting = session.read()?;
        refuse_error(&greeting)?;
        let mut login = Vec::new();
        login.extend(CAPABILITIES.to_le_bytes());
        login.extend(MAX_PACKET.to_le_bytes());
        login.push(UTF8MB4);
        login.extend([0; 23]);
        login.extend(b"root\0");
        // No password: every authentication method takes an empty answer for an empty password.
        login.push(0);
        login.extend(b"mysql_native_password\0");
        session.write(&login)?;
        loop {
            let answer = session.read()?;
            match answer.first() {
                Some(&OK) => return Ok(session),
                // The account uses another method.
                Some(&EOF) => session.write(&[])?,
                Some(&MORE_DATA) => {}
                _ => {
                    refuse_error(&answer)?;
                    bail!("the server's answer to the login is not understood");
                }
            }
        }
    }

    /// Runs one statement and drops its rows.
    pub(super) fn run(&mut self, statement: &str) -> Result<()> {
        self.sequence = 0;
        let mut packet = vec![COM_QUERY];
        packet.extend(statement.as_bytes());
        self.write(&packet)?;
        let first = self.read()?;
        refuse_error(&first).with_context(|| format!("failed: {statement}"))?;
        if first.first() == Some(&OK) {
            return Ok(());
        }
        // Rows: the columns up to a first end mark, the rows up to a second one.
        let mut ends = 0;
        while ends < 2 {
            let packet = self.read()?;
            refuse_error(&packet).with_context(|| format!("failed: {statement}"))?;
            if packet.first() == Some(&EOF) && packet.len() < 9 {
                ends += 1;
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<Vec<u8>> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header)?;
        self.sequence = header[3].wrapping_add(1);
        let length = u32::from_le_bytes([header[0], header[1], header[2], 0]);
        let mut packet = vec![0; length as usize];
        self.stream.read_exact(&mut packet)?;
        Ok(packet)
    }

    fn write(&mut self, packet: &[u8]) -> Result<()> {
        let length = u32::try_from(packet.len())?.to_le_bytes();
        if length[3] != 0 {
            bail!("a statement of {} bytes is too long", packet.len());
        }
        let mut bytes = vec![length[0], length[1], length[2], self.sequence];
        bytes.extend(packet);
        self.stream.write_all(&bytes)?;
        Ok(())
    }
}

/// `0xff`, the code in two bytes, then the text (after `#` and a five-letter state, once logged in).
fn refuse_error(packet: &[u8]) -> Result<()> {
    match packet {
        [ERR, low, high, text @ ..] => {
            let code = u16::from_le_bytes([*low, *high]);
            bail!("error {code}: {}", String::from_utf8_lossy(text))
        }
        [] => bail!("the server sent an empty packet"),
        _ => Ok(()),
    }
}
