//! A gzip stream of a few kilobytes a megabyte, written by hand: one literal and then the longest
//! matches at distance one, in a single block with fixed codes.

/// Bytes of output that one match code stands for.
const MATCH_LENGTH: usize = 258;

/// A gzip stream that unpacks to at least `bytes` times the character `#`.
pub(crate) fn gzip_of_hashes(bytes: usize) -> Vec<u8> {
    // Deflate, no flags, no time, unknown system.
    let mut bits = Bits {
        bytes: vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255],
        pending: 0,
        count: 0,
    };
    bits.push(0b1, 1); // the last block
    bits.push(0b01, 2); // with fixed Huffman codes
    bits.push_code(0x30 + u16::from(b'#'), 8);
    for _ in 0..bytes.div_ceil(MATCH_LENGTH) {
        bits.push_code(0b1100_0101, 8); // length 258
        bits.push_code(0, 5); // distance 1
    }
    bits.push_code(0, 7); // end of the block
    let mut stream = bits.finish();
    // Checksum and length are wrong: a reader that gets as far has unpacked all of it.
    stream.extend([0; 8]);
    stream
}

/// Bits from the least significant on, as deflate packs them.
struct Bits {
    bytes: Vec<u8>,
    pending: u8,
    count: u8,
}

impl Bits {
    fn push(&mut self, value: u16, bits: u8) {
        for bit in 0..bits {
            if value >> bit & 1 == 1 {
                self.pending |= 1 << self.count;
            }
            self.count += 1;
            if self.count == 8 {
                self.bytes.push(self.pending);
                (self.pending, self.count) = (0, 0);
            }
        }
    }

    /// Huffman codes go the other way round.
    fn push_code(&mut self, code: u16, bits: u8) {
        for bit in (0..bits).rev() {
            self.push(code >> bit & 1, 1);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.bytes.push(self.pending);
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::tools;

    #[test]
    fn unpacks_to_what_it_says() {
        // gzip writes what it unpacked and only then complains about the checksum.
        let output =
            tools::pipe(Command::new("gzip").arg("-dc"), &gzip_of_hashes(1 << 20)).unwrap();
        assert!(output.stdout.len() >= 1 << 20);
        assert!(output.stdout.iter().all(|byte| *byte == b'#'));
        assert!(gzip_of_hashes(1 << 20).len() < 1 << 13);
    }
}
