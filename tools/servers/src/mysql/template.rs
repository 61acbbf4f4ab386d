//! The data directory that every new server gets a copy of.
//!
//! Filling one takes seconds, copying one a fraction of a second, so it is filled once for each version and kept under
//! the target directory. A file lock makes the first of several processes fill it while the others wait.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use super::flavour::Server;
use super::{MySql, MySqlOptions, PASSWORD, USER};
use crate::dirs::{InstanceDir, cache_dir};

/// Part of the template's name: raise it when what is written into a template changes.
const EDITION: u32 = 1;

/// Copies the template for this server to `data`, which does not exist yet.
pub(super) fn copy_to(server: &Server, data: &Path) -> Result<()> {
    let template = ensure(server)?;
    copy(&template, data).with_context(|| format!("cannot copy the template to {}", data.display()))
}

/// The template's path; fills it first when it is missing.
pub(super) fn ensure(server: &Server) -> Result<PathBuf> {
    let cache = cache_dir()?;
    let name = format!("template-{}-v{EDITION}", server.key());
    let template = cache.join(&name);
    let lock = File::create(cache.join(format!("{name}.lock")))?;
    lock.lock().context("cannot lock the template")?;
    if !template.exists() {
        let building = cache.join(format!("{name}.part"));
        // What a killed process left half filled.
        let _ = fs::remove_dir_all(&building);
        fill(server, &building)?;
        fs::rename(building.join("data"), &template)?;
        fs::remove_dir_all(&building)?;
    }
    Ok(template)
}

fn fill(server: &Server, dir: &Path) -> Result<()> {
    let data = dir.join("data");
    fs::create_dir_all(&data)?;
    let output = server
        .installer(&data)?
        .stdin(Stdio::null())
        .output()
        .context("cannot run the server's installation program")?;
    if !output.status.success() {
        let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        bail!("cannot fill a data directory for {}:\n{out}{err}", server.version());
    }
    let options = MySqlOptions { args: server.template_arguments(), ..MySqlOptions::default() };
    let first = MySql::on(server.clone(), InstanceDir::new("template", Some(dir))?, options)?;
    for (user, password, host) in
        [(USER, PASSWORD, "%"), (USER, PASSWORD, "127.0.0.1"), (USER, PASSWORD, "localhost"), ("root", "", "127.0.0.1")]
    {
        let account = format!("'{user}'@'{host}'");
        first.sql(&format!("CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{password}'"))?;
        first.sql(&format!("GRANT ALL PRIVILEGES ON *.* TO {account} WITH GRANT OPTION"))?;
    }
    // A clean shutdown: the copies start without recovery.
    first.stop()?;
    // It names the server: copies must differ.
    let _ = fs::remove_file(data.join("auto.cnf"));
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
