//! Binary PPM, one picture after the other: what ffmpeg pipes and QEMU's screen dumps are.
//!
//! Source: Netpbm, *ppm*, <https://netpbm.sourceforge.net/doc/ppm.html>.

use std::io::{self, BufRead, ErrorKind};

use super::photo::Photo;

/// Longest side that is read, in pixels.
const LARGEST: usize = 16_384;

/// Reads the next picture of a stream: `P6 WIDTH HEIGHT 255`, one white space, pixels; `None` at its end.
///
/// # Errors
/// [`ErrorKind::InvalidData`] for anything else, [`ErrorKind::UnexpectedEof`] for a picture that is cut off, and
/// those of the reader.
pub fn read(reader: &mut dyn BufRead) -> io::Result<Option<Photo>> {
    let no_ppm = || io::Error::new(ErrorKind::InvalidData, "no binary PPM picture (P6, 8 bits)");
    let Some(magic) = word(reader)? else { return Ok(None) };
    if magic != "P6" {
        return Err(no_ppm());
    }
    let mut fields = [0usize; 3];
    for field in &mut fields {
        *field = word(reader)?.and_then(|text| text.parse().ok()).ok_or_else(no_ppm)?;
    }
    let [width, height, most] = fields;
    if most != 255 || !(1..=LARGEST).contains(&width) || !(1..=LARGEST).contains(&height) {
        return Err(no_ppm());
    }
    let mut rgb = vec![0; 3 * width * height];
    reader.read_exact(&mut rgb)?;
    Ok(Some(Photo { width, height, rgb }))
}

/// Reads a word and the one white space behind it; lines that begin with `#` are remarks.
fn word(reader: &mut dyn BufRead) -> io::Result<Option<String>> {
    let mut text = String::new();
    loop {
        let mut byte = [0];
        if reader.read(&mut byte)? == 0 {
            return Ok((!text.is_empty()).then_some(text));
        }
        match byte[0] {
            b'#' if text.is_empty() => {
                let mut remark = Vec::new();
                reader.read_until(b'\n', &mut remark)?;
            }
            letter if letter.is_ascii_whitespace() => {
                if !text.is_empty() {
                    return Ok(Some(text));
                }
            }
            _ if text.len() >= 16 => return Ok(Some(text)),
            letter => text.push(char::from(letter)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_s_pictures_come_one_after_the_other() {
        let bytes =
            [&b"P6\n# by ffmpeg\n2 1\n255\n"[..], &[1, 2, 3, 4, 5, 6], b"P6 1 1 255\n", &[7, 8, 9]].concat();
        let mut reader = &bytes[..];
        let first = read(&mut reader).unwrap().unwrap();
        assert_eq!((first.width, first.height, &first.rgb[..]), (2, 1, &[1, 2, 3, 4, 5, 6][..]));
        assert_eq!(read(&mut reader).unwrap().unwrap().rgb, [7, 8, 9]);
        assert!(read(&mut reader).unwrap().is_none());
        for bad in [&b"P5 1 1 255 a"[..], b"P6 1 1 65535 aaaaaa", b"P6 0 1 255 ", b"P6 1 1 255 a", b"hello"] {
            assert!(read(&mut &bad[..]).is_err(), "{bad:?}");
        }
    }
}
