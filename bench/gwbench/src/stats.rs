//! A log-linear histogram (128 steps per power of two: under 0.8 % error) and a seeded generator.
pub struct Hist {
    b: Vec<u64>,
    pub n: u64,
    pub max: u64,
    sum: u128,
}

const SUB: u32 = 7;

impl Hist {
    pub fn new() -> Hist {
        Hist { b: vec![0; (64 << SUB) as usize], n: 0, max: 0, sum: 0 }
    }
    fn idx(v: u64) -> usize {
        if v < (1 << SUB) {
            return v as usize;
        }
        let e = 63 - v.leading_zeros();
        let s = (v >> (e - SUB)) - (1 << SUB);
        (((e - SUB + 1) as u64) << SUB) as usize + s as usize
    }
    pub fn add(&mut self, v: u64) {
        self.b[Self::idx(v)] += 1;
        self.n += 1;
        self.sum += v as u128;
        self.max = self.max.max(v);
    }
    pub fn pct(&self, p: f64) -> u64 {
        let want = (self.n as f64 * p / 100.0).ceil() as u64;
        let mut seen = 0;
        for (i, c) in self.b.iter().enumerate() {
            seen += c;
            if *c > 0 && seen >= want {
                let g = (i >> SUB) as u32;
                if g == 0 {
                    return i as u64;
                }
                let s = (i & ((1 << SUB) - 1)) as u64 + (1 << SUB);
                return s << (g - 1);
            }
        }
        self.max
    }
    pub fn mean(&self) -> f64 {
        if self.n == 0 {
            0.0
        } else {
            self.sum as f64 / self.n as f64
        }
    }
}

pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        ((self.next() as u128 * n as u128) >> 64) as u64
    }
    pub fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 1.0) / (1u64 << 53) as f64
    }
}
