//! x
fn main(){
  let what = std::env::args().nth(1).unwrap();
  let n=if what=="done" {1_000_000u32} else {10_000_000u32};
  lisle::run(||{
    let t=std::time::Instant::now();
    match &*what {
    "yield" => {
    let hs = [(); 2].map(|_| lisle::go_local(move || for _ in 0..n {lisle::yield_now()}));
    for h in hs {h.join().unwrap();}
    println!("yield {:?}", t.elapsed()/(2*n));
    }
    "join" => {
    for _ in 0..n { lisle::go(||()).join().unwrap(); }
    println!("spawn_join {:?}", t.elapsed()/n);
    }
    _ => for _ in 0..6 {
    let t=std::time::Instant::now();
    let c = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    for _ in 0..2*n { let c=c.clone(); lisle::go(move||{c.fetch_add(1,std::sync::atomic::Ordering::Relaxed);}); }
    let t2=t.elapsed();
    while c.load(std::sync::atomic::Ordering::Relaxed) < 2*n { lisle::yield_now() }
    println!("spawn_done {:?} (spawn alone {:?})", t.elapsed()/(2*n), t2/(2*n));
    }
    }
  });
}
