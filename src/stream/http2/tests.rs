//! Tables of conversations and what is made of them, fed whole, byte by byte
//! and cut at random.

mod attacks;
mod conversations;
mod losses;
mod recorded;
mod support;
