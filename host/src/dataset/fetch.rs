//! Downloads the official files: to `.part`, checked by sha256, then renamed.

use std::io::Read;
use std::path::Path;

use super::DatasetError;
use super::identity::sha256_hex;

/// An official file: name and sha256 of the gzipped bytes.
#[derive(Debug, Clone, Copy)]
pub struct OfficialFile {
    /// File name at every source.
    pub name: &'static str,
    /// sha256 in hexadecimal.
    pub sha256: &'static str,
}

/// The four files: training images and labels, test images and labels.
pub const OFFICIAL_FILES: [OfficialFile; 4] = [
    OfficialFile {
        name: "train-images-idx3-ubyte.gz",
        sha256: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    },
    OfficialFile {
        name: "train-labels-idx1-ubyte.gz",
        sha256: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    },
    OfficialFile {
        name: "t10k-images-idx3-ubyte.gz",
        sha256: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    },
    OfficialFile {
        name: "t10k-labels-idx1-ubyte.gz",
        sha256: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
];

/// Where the files are published, tried in this order; each is followed by the file's name.
pub const SOURCES: [&str; 3] = [
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
];

/// No official file is larger than this many bytes.
const LARGEST_FILE: u64 = 64 << 20;
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(120);
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// Downloads whatever is missing in `folder`; `say` is told about each file.
///
/// A file that is there with the right sum is kept; one with a wrong sum is an error, never overwritten.
///
/// # Errors
/// [`DatasetError::Checksum`] for a wrong sum, [`DatasetError::Missing`] where no source answers,
/// [`DatasetError::Io`] where the folder cannot be written.
pub fn fetch(folder: &Path, sources: &[&str], mut say: impl FnMut(&str)) -> Result<(), DatasetError> {
    for file in OFFICIAL_FILES {
        let path = folder.join(file.name);
        if path.exists() {
            let bytes =
                std::fs::read(&path).map_err(|source| DatasetError::Io { path: path.clone(), source })?;
            check(&file, &path.display().to_string(), &bytes)?;
            say(&format!("{}: already here, checksum right", path.display()));
            continue;
        }
        let bytes = download(&file, sources, &mut say)?;
        crate::files::write_whole(&path, &bytes)
            .map_err(|source| DatasetError::Io { path: path.clone(), source })?;
        say(&format!("{}: {} bytes, checksum right", path.display(), bytes.len()));
    }
    Ok(())
}

fn check(file: &OfficialFile, shown: &str, bytes: &[u8]) -> Result<(), DatasetError> {
    let found = sha256_hex(bytes);
    if found == file.sha256 {
        return Ok(());
    }
    Err(DatasetError::Checksum { file: shown.into(), found, expected: file.sha256.into() })
}

/// Tries every source in turn; a wrong checksum counts as a failed source.
fn download(
    file: &OfficialFile,
    sources: &[&str],
    say: &mut impl FnMut(&str),
) -> Result<Vec<u8>, DatasetError> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .build()
        .into();
    let mut refusals = Vec::new();
    for source in sources {
        let url = format!("{source}{}", file.name);
        say(&format!("downloading {url}"));
        let answer = agent.get(&url).call().map_err(|error| error.to_string());
        let bytes = answer.and_then(|mut response| {
            let mut bytes = Vec::new();
            let reader = response.body_mut().as_reader();
            reader.take(LARGEST_FILE).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
            check(file, &url, &bytes).map_err(|error| error.to_string())?;
            Ok(bytes)
        });
        match bytes {
            Ok(bytes) => return Ok(bytes),
            Err(problem) => refusals.push(format!("  {url}: {problem}")),
        }
    }
    Err(DatasetError::Missing(format!("{} could not be downloaded:\n{}", file.name, refusals.join("\n"))))
}
