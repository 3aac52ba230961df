//! UF2: an image as a file that a board's boot loader takes from a drive.
//!
//! Blocks of 512 bytes, each with 256 bytes of the image and the address where they go. Source: Microsoft, *USB
//! Flashing Format*, <https://github.com/microsoft/uf2>; family numbers from its `utils/uf2families.json`.

use std::path::{Path, PathBuf};

use object::read::elf::ProgramHeader;
use serde::{Deserialize, Serialize};

use super::DeviceError;

/// Bytes of the image in a block.
const PAYLOAD: usize = 256;
/// Bytes of a block.
pub const BLOCK: usize = 512;
const MAGIC: [u32; 2] = [0x0a32_4655, 0x9e5d_5157];
const END_MAGIC: u32 = 0x0ab1_6f30;
/// The block names a family.
const FAMILY_PRESENT: u32 = 0x2000;

/// Which chips take a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Family {
    /// Raspberry Pi's RP2040.
    #[serde(rename = "rp2040")]
    Rp2040,
    /// Raspberry Pi's RP2350, Arm cores, secure state.
    #[serde(rename = "rp2350-arm-s")]
    Rp2350ArmS,
}

impl Family {
    /// Number of the family in every block.
    pub const fn number(self) -> u32 {
        match self {
            Self::Rp2040 => 0xe48b_ff56,
            Self::Rp2350ArmS => 0xe48b_ff59,
        }
    }
}

/// Writes an image's UF2 file beside it; returns its path and contents.
///
/// # Errors
/// Those of [`from_elf`], and [`DeviceError::Missing`] with the path where a file cannot be read or written.
pub fn beside(elf: &Path, family: Family) -> Result<(PathBuf, Vec<u8>), DeviceError> {
    let bytes =
        std::fs::read(elf).map_err(|error| DeviceError::Missing(format!("{}: {error}", elf.display())))?;
    let file = from_elf(&bytes, family)?;
    let path = elf.with_extension("uf2");
    crate::files::write_if_changed(&path, &file)
        .map_err(|error| DeviceError::Missing(format!("{error:#}")))?;
    Ok((path, file))
}

/// Turns a linked image into a UF2 file.
///
/// # Errors
/// [`DeviceError::Build`] where the file is no image with bytes for the flash.
pub fn from_elf(elf: &[u8], family: Family) -> Result<Vec<u8>, DeviceError> {
    let bad = |output: String| DeviceError::Build { model: "the image".into(), output };
    let file = object::read::elf::ElfFile32::<object::Endianness>::parse(elf)
        .map_err(|error| bad(error.to_string()))?;
    let endian = file.endian();
    let mut pages: std::collections::BTreeMap<u32, [u8; PAYLOAD]> = std::collections::BTreeMap::new();
    // Where bytes are loaded from, not where they are moved to at the start.
    for segment in file.elf_program_headers() {
        if segment.p_type(endian) != object::elf::PT_LOAD || segment.p_filesz(endian) == 0 {
            continue;
        }
        let address = segment.p_paddr(endian);
        let bytes = segment.data(endian, elf).map_err(|()| bad("a segment lies outside the file".into()))?;
        for (at, &byte) in bytes.iter().enumerate() {
            let address = address + at as u32;
            let page = pages.entry(address / PAYLOAD as u32).or_insert([0; PAYLOAD]);
            page[address as usize % PAYLOAD] = byte;
        }
    }
    if pages.is_empty() {
        return Err(bad("it holds nothing to be flashed".into()));
    }
    let count = pages.len() as u32;
    let mut blocks = Vec::with_capacity(pages.len() * BLOCK);
    for (number, (page, payload)) in pages.iter().enumerate() {
        let head = [
            MAGIC[0],
            MAGIC[1],
            FAMILY_PRESENT,
            page * PAYLOAD as u32,
            PAYLOAD as u32,
            number as u32,
            count,
            family.number(),
        ];
        head.iter().for_each(|word| blocks.extend_from_slice(&word.to_le_bytes()));
        blocks.extend_from_slice(payload);
        blocks.resize((number + 1) * BLOCK - 4, 0);
        blocks.extend_from_slice(&END_MAGIC.to_le_bytes());
    }
    Ok(blocks)
}
