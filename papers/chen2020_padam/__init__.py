"""Chen et al. 2020: does a partially adaptive optimizer train as fast as Adam and generalize as well as SGD?"""
