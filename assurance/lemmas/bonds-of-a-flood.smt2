; A queue of k doublings holds at least base * 512 * (2^k - 1): true of none, and each 512 challenges more keep it true.
; Needed for: what a flood costs. Each of 512 challenges behind k doublings costs at least base * 2^k, here `scaled`
; (price-of-a-challenge), for every challenge in the queue found at least as many open as are ahead of it now.
(declare-const base Int)
(declare-const scaled Int)
(declare-const held Int)
(declare-const added Int)
(assert (<= 1 base scaled))
(assert (>= held (* 512 (- scaled base))))
(assert (>= added (* 512 scaled)))
(check-sat)
(assert (not (and
  (>= 0 (* 512 (- base base)))
  (>= (+ held added) (* 512 (- (* 2 scaled) base))))))
(check-sat)
